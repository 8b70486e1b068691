#!/bin/bash
# SPDX-License-Identifier: MIT
# The program in libmmapfs(3) compiles without a warning and does what the page says; the
# commands of all pages are run by tests/package.sh, and each is one that it knows how to run.
set -eu
cd "$(dirname "$0")/../.."
build=$(realpath "${MMAPFS_BUILD:-build}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 tests/package/examples.py >"$work/commands"
sed -n '/^# EXAMPLE/,/^# SEE/{/^```/d;/^# /d;p}' docs/man/libmmapfs.3.scd |
	sed 's/\\\\/\\/g' >"$work/example.c"
gcc -Wall -Wextra -Werror -Wno-missing-field-initializers -Icore/include "$work/example.c" \
	-o "$work/example" "$build/core/libmmapfs.so" -Wl,-rpath,"$build/core"
head -c 64K /dev/zero >"$work/file"
"$work/example" "$work/file" | grep -qE '^([0-9]+ of 16 pages|unknown: [a-z-]+)$'
if "$work/example" "$work/none" 2>"$work/said"; then
	echo "a file that is not there is no error"
	exit 1
fi
grep -q 'none: ENOENT$' "$work/said"
