#!/bin/bash
# SPDX-License-Identifier: MIT
# How far from native: fio on a mount and on its source directory in turn, medians, ratios.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${MMAPFS_BUILD:-$top/build}
rounds=5
size=512M
dir=${TMPDIR:-/var/tmp}
only=

usage()
{
	cat <<EOT
Usage: sudo tests/bench/native.sh [--rounds N] [--size SIZE] [--dir DIRECTORY]
                                  [--only TEXT]

Run fio on a warm file of SIZE (default $size) on the source, through a mount, and on the
source again, N times (default $rounds), and print medians, their ratio, and the ratio of
the source to itself, each with its quartiles. It reports; it does not pass or fail. --only
takes the rows whose name has TEXT in it. Needs a build (MMAPFS_BUILD, default build/).

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
	--rounds | --size | --dir | --only)
		[ $# -ge 2 ] || fail "$1 needs a value"
		declare "${1#--}=$2"
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

work=$(mktemp -d "$dir/mmapfs-bench.XXXXXX") || exit 1
clean_up()
{
	umount -l "$work/mnt" 2>/dev/null
	rm -rf "$work"
}
trap clean_up EXIT
mkdir "$work/source" "$work/mnt"
"$build/fs/mmapfs" "$work/source" "$work/mnt" -o lock_limit=1T || fail "the mount failed"
fio --name=make --filename="$work/source/f" --size="$size" --rw=write --bs=1M \
	--end_fsync=1 --output=/dev/null || fail "fio could not make the file"

# Locked: a reclaimer that takes pages between two rounds would be measured instead.
setfattr -n user.mmapfs.lock -v on "$work/mnt/f" || fail "the file cannot be kept in RAM"

# measure DIRECTORY FIO-ARGUMENT... : one number, operations per second.
measure()
{
	local directory=$1

	shift
	fio --name=run --filename="$directory/f" --size="$size" --invalidate=0 --fallocate=none \
		--allow_file_create=0 --output-format=json "$@" 2>/dev/null |
		/usr/bin/python3 -c 'import json, sys
job = json.load(sys.stdin)["jobs"][0]
print(round(job["read"]["iops"] + job["write"]["iops"], 1))'
}

# One line of all rounds "before mount after": medians, the ratio mount/source of each round
# against the mean of its two neighbours, and the same of the source against itself, which
# is what this machine's noise alone makes of a ratio of 1.
summary()
{
	/usr/bin/python3 -c 'import statistics, sys
rounds = [[float(word) for word in line.split()] for line in sys.stdin]
ratios = sorted(mount / ((before + after) / 2) for before, mount, after in rounds)
noise = sorted(after / before for before, mount, after in rounds)
def middle(values):
    return "%.3f (%.2f-%.2f)" % (statistics.median(values), values[len(values) // 4],
                                 values[-1 - len(values) // 4])
print("%-27s %11.0f %11.0f  %-18s %s" % (
    sys.argv[1], statistics.median(r[0] for r in rounds),
    statistics.median(r[1] for r in rounds), middle(ratios), middle(noise)))' "$1"
}

printf '%-27s %11s %11s  %-18s %s\n' "what (per second)" source mount \
	"mount/source (q)" "source/source (q)"
compare()
{
	local name=$1 _

	shift
	for _ in $(seq "$rounds"); do
		echo "$(measure "$work/source" "$@") $(measure "$work/mnt" "$@")" \
			"$(measure "$work/source" "$@")"
	done | summary "$name"
}

only_matching()
{
	case $1 in
	*"$only"*) compare "$@" ;;
	esac
}

only_matching "sequential read, 1 MiB" --rw=read --bs=1M --ioengine=psync --loops=8
only_matching "sequential read, mmap" --rw=read --bs=1M --ioengine=mmap --loops=8
only_matching "random read, 4 KiB" --rw=randread --bs=4k --ioengine=psync --loops=8
only_matching "random read, 4 KiB, mmap" --rw=randread --bs=4k --ioengine=mmap --loops=8
only_matching "random write, 4 KiB" --rw=randwrite --bs=4k --ioengine=psync --loops=8
only_matching "random write, 4 KiB, mmap" --rw=randwrite --bs=4k --ioengine=mmap --loops=8
