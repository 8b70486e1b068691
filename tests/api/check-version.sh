#!/bin/bash
# SPDX-License-Identifier: MIT
# The version is the same wherever it is said.
set -eu
cd "$(dirname "$0")/../.."
build=${MMAPFS_BUILD:-build}
version=$(sed -nE "s/^ *version: '(.*)',/\1/p" meson.build)
bad=0

# same WHERE WHAT-IT-SAYS
same()
{
	if [ "$2" != "$version" ]; then
		echo "$1 says '$2', meson.build '$version'"
		bad=1
	fi
}

[ -n "$version" ] || { echo "meson.build has no version"; exit 1; }
[ ! -x "$build/fs/mmapfs" ] || same "mmapfs --version" \
	"$("$build/fs/mmapfs" --version | sed -n 's/^mmapfs \(.*\), libfuse .*/\1/p')"
[ ! -x "$build/tools/mmapctl" ] ||
	same "mmapctl --version" "$("$build/tools/mmapctl" --version | sed 's/^mmapctl //')"
same "pkg-config" "$(sed -n 's/^Version: //p' "$build/meson-private/mmapfs.pc")"
same "the shared library's name" "$(basename "$(readlink -f "$build/core/libmmapfs.so")" |
	sed 's/^libmmapfs\.so\.//')"
same "node/package.json" "$(sed -n 's/^  "version": "\(.*\)",/\1/p' node/package.json)"
same "packaging/debian/changelog" "$(sed -n '1s/^mmapfs (\(.*\)).*/\1/p' packaging/debian/changelog)"
same "NEWS.md" "$(sed -nE '/^## /{s/^## ([^ ]*).*/\1/p;q}' NEWS.md)"
for page in docs/man/*.scd; do
	[ "$(sed -n '1s/.*"\(.*\)"$/\1/p' "$page")" = "mmapfs @VERSION@" ] ||
		{ echo "$page does not say its version"; bad=1; }
	built=$build/docs/$(basename "$page" .scd)
	[ ! -e "$built" ] || same "$built" "$(sed -n 's/^\.TH .* "mmapfs \([^"]*\)".*/\1/p' "$built")"
done
exit $bad
