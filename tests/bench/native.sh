#!/bin/bash
# SPDX-License-Identifier: MIT
# How far from native: fio on a mount and on its source directory in turn, medians, ratios.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${MMAPFS_BUILD:-$top/build}
rounds=5
size=512M
where=${TMPDIR:-/var/tmp}

usage()
{
	cat <<EOT
Usage: sudo tests/bench/native.sh [--rounds N] [--size SIZE] [--dir DIRECTORY]

Run fio on a warm file of SIZE (default $size), on the source and through a mount in turn,
N times each (default $rounds), and print medians and their ratio. It reports; it does not
pass or fail. Needs a build (MMAPFS_BUILD, default build/).

Example: sudo tests/bench/native.sh --rounds 9 --dir /srv
EOT
}

fail()
{
	echo "native.sh: $*" >&2
	exit 1
}

while [ $# -gt 0 ]; do
	case $1 in
	--rounds | --size | --dir)
		[ $# -ge 2 ] || fail "$1 needs a value"
		case $1 in
		--rounds) rounds=$2 ;;
		--size) size=$2 ;;
		--dir) where=$2 ;;
		esac
		shift
		;;
	--help | -h)
		usage
		exit 0
		;;
	*) fail "unknown option '$1', see --help" ;;
	esac
	shift
done
[ "$(id -u)" -eq 0 ] || fail "mounting needs root"
[ -x "$build/fs/mmapfs" ] || fail "$build/fs/mmapfs is missing: build first"
command -v fio >/dev/null || fail "fio is not installed"

work=$(mktemp -d "$where/mmapfs-bench.XXXXXX") || exit 1
clean_up()
{
	umount -l "$work/mnt" 2>/dev/null
	rm -rf "$work"
}
trap clean_up EXIT
mkdir "$work/source" "$work/mnt"
"$build/fs/mmapfs" "$work/source" "$work/mnt" || fail "the mount failed"
fio --name=make --filename="$work/source/f" --size="$size" --rw=write --bs=1M \
	--end_fsync=1 --output=/dev/null || fail "fio could not make the file"

# measure DIRECTORY FIO-ARGUMENT... : one number, operations per second.
measure()
{
	local directory=$1

	shift
	# Warm by a mapping's eyes: all of it is read once before the clock starts.
	cat "$work/source/f" >/dev/null
	fio --name=run --filename="$directory/f" --size="$size" --invalidate=0 --fallocate=none \
		--allow_file_create=0 --output-format=json "$@" 2>/dev/null |
		/usr/bin/python3 -c 'import json, sys
job = json.load(sys.stdin)["jobs"][0]
print(round(job["read"]["iops"] + job["write"]["iops"], 1))'
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

printf '%-28s %14s %14s %8s\n' "what (per second)" source mount ratio
compare()
{
	local name=$1 round native mounted

	shift
	: >"$work/native"
	: >"$work/mounted"
	# In turn, and in turned order, so that drift of the machine hits both alike.
	for round in $(seq "$rounds"); do
		if [ $((round % 2)) -eq 0 ]; then
			measure "$work/source" "$@" >>"$work/native"
			measure "$work/mnt" "$@" >>"$work/mounted"
		else
			measure "$work/mnt" "$@" >>"$work/mounted"
			measure "$work/source" "$@" >>"$work/native"
		fi
	done
	native=$(median <"$work/native")
	mounted=$(median <"$work/mounted")
	printf '%-28s %14s %14s %8s\n' "$name" "$native" "$mounted" \
		"$(awk -v a="$mounted" -v b="$native" 'BEGIN { printf "%.2f", b ? a / b : 0 }')"
}

compare "sequential read, 1 MiB" --rw=read --bs=1M --ioengine=psync --loops=8
compare "sequential read, mmap" --rw=read --bs=1M --ioengine=mmap --loops=8
compare "random read, 4 KiB" --rw=randread --bs=4k --ioengine=psync --loops=8
compare "random read, 4 KiB, mmap" --rw=randread --bs=4k --ioengine=mmap --loops=8
compare "random write, 4 KiB" --rw=randwrite --bs=4k --ioengine=psync --loops=8
compare "random write, 4 KiB, mmap" --rw=randwrite --bs=4k --ioengine=mmap --loops=8
