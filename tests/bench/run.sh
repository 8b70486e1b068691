#!/bin/bash
# SPDX-License-Identifier: MIT
# Everything docs/bench.md shows by one command: install the peers, build, measure, write the page.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
libfuse=
out=$PWD/bench.jsonl
page=$top/docs/bench.md
more=()

usage()
{
	cat <<EOT
Usage: sudo tests/bench/run.sh [--libfuse CHECKOUT] [--out FILE] [--page FILE]
                               [OPTION OF bench.py]...

Install what is compared with (apt), build, run tests/bench/bench.py, and make the page from
its lines. CHECKOUT is a directory with the source of libfuse 3.17 or later, or a git directory
of it: its passthrough_hp is built in a private directory. Without it that row says so.
Half an hour. Lines go to FILE (default ./bench.jsonl), the page to docs/bench.md.

Options of bench.py: --only TEXT, --quick, --million, --places NAME,..., --rounds N, --dir.

Example: sudo tests/bench/run.sh --libfuse ~/libfuse --only metadata:
EOT
}

fail()
{
	echo "run.sh: $*" >&2
	exit 1
}

while [ $# -gt 0 ]; do
	case $1 in
	--libfuse | --out | --page)
		[ $# -ge 2 ] || fail "$1 needs a value"
		declare "${1#--}=$(realpath "$2")"
		shift
		;;
	--help | -h)
		usage
		exit 0
		;;
	*) more+=("$1") ;;
	esac
	shift
done
[ "$(id -u)" -eq 0 ] || fail "mounting needs root"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1

# shellcheck source=tools/packages.sh
. "$top/tools/packages.sh"
packages_need meson ninja-build pkg-config gcc g++ libc6-dev libfuse3-dev fuse3 libcap-ng-dev \
	libsmartcols-dev libjansson-dev uthash-dev python3 attr fio vmtouch util-linux \
	util-linux-extra mount time e2fsprogs xfsprogs findutils git tar || exit 1
# Without one of these its row says so.
for name in bindfs mergerfs fuse-overlayfs unionfs-fuse; do
	packages_need "$name" || echo "going on without $name"
done
command -v node >/dev/null || packages_need nodejs npm libnode-dev

work=$(mktemp -d "${TMPDIR:-/var/tmp}/mmapfs-bench-build.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

if [ -z "${MMAPFS_BUILD:-}" ]; then
	MMAPFS_BUILD=$work/build
	{ meson setup --buildtype=release "$MMAPFS_BUILD" "$top" && ninja -C "$MMAPFS_BUILD"; } \
		>"$work/build.log" 2>&1 || { tail "$work/build.log"; fail "the build failed"; }
fi
export MMAPFS_BUILD

# A git directory without a work tree will do as well.
libfuse_source()
{
	if [ -e "$libfuse/meson.build" ]; then
		echo "$libfuse"
	else
		mkdir "$work/libfuse" && git -C "$libfuse" archive HEAD | tar -x -C "$work/libfuse" &&
			echo "$work/libfuse"
	fi
}

if [ -n "$libfuse" ]; then
	if source=$(libfuse_source) && meson setup --buildtype=release -Ddefault_library=static \
		-Dtests=false -Dutils=false -Dexamples=true "$work/hp" "$source" >"$work/hp.log" 2>&1 &&
		ninja -C "$work/hp" example/passthrough_hp >>"$work/hp.log" 2>&1; then
		more+=(--libfuse "$work/hp")
	else
		echo "passthrough_hp could not be built:" >&2
		tail -n 3 "$work/hp.log" >&2
	fi
fi

/usr/bin/python3 "$top/tests/bench/bench.py" --out "$out" "${more[@]}" || exit 1
/usr/bin/python3 "$top/tests/bench/page.py" "$out" --out "$page" || exit 1
echo "lines: $out"
echo "page: $page"
