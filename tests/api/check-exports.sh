#!/bin/bash
# SPDX-License-Identifier: MIT
# The shared library exports what core/mmapfs.sym lists, the header declares, nothing else.
set -eu
cd "$(dirname "$0")/../.."
build=${MMAPFS_BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

nm -D --defined-only "$build/core/libmmapfs.so" | awk '$2 ~ /^[A-Z]$/ && $2 != "A" { print $3 }' |
	sed 's/@.*//' | sort -u >"$work/exported"
sed -n 's/^\t\(mmapfs_[a-z0-9_]*\);$/\1/p' core/mmapfs.sym | sort -u >"$work/listed"
# Declarations end with ");" and may be broken over lines.
tr '\n' ' ' <core/include/mmapfs.h | sed 's|/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/| |g' |
	grep -oE '\bmmapfs_[a-z0-9_]+\([^;{}]*\);' | grep -oE '^mmapfs_[a-z0-9_]+' |
	sort -u >"$work/declared"
diff -u --label listed --label exported "$work/listed" "$work/exported"
diff -u --label listed --label declared "$work/listed" "$work/declared"
