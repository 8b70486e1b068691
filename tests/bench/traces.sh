#!/bin/bash
# SPDX-License-Identifier: MIT
# Where the time goes that docs/bench.md speaks of: traces by perf(1), as Markdown.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${MMAPFS_BUILD:-$top/build}

usage()
{
	cat <<EOT
Usage: sudo tests/bench/traces.sh > docs/bench-traces.md

Mount a directory with the mmapfs of MMAPFS_BUILD (default build/), and trace by perf(1) what
limits it: the round trip of a request, an open with read and close, the attribute resident
of a file of 1 GiB. Some seconds. Needs root, and perf (Debian: linux-perf).

Example: sudo MMAPFS_BUILD=release tests/bench/traces.sh
EOT
}

case ${1:-} in
--help | -h)
	usage
	exit 0
	;;
?*)
	echo "tests/bench/traces.sh: unknown argument '$1', see --help" >&2
	exit 2
	;;
esac
[ -x "$build/fs/mmapfs" ] || {
	echo "tests/bench/traces.sh: no mmapfs in '$build': say MMAPFS_BUILD=DIRECTORY" >&2
	exit 2
}
command -v perf >/dev/null || {
	echo "tests/bench/traces.sh: perf is missing (Debian: apt-get install linux-perf)" >&2
	exit 2
}

work=$(mktemp -d "${TMPDIR:-/var/tmp}/mmapfs-traces.XXXXXX")
end()
{
	umount "$work/mnt" 2>/dev/null || true
	rm -rf --one-file-system "$work"
}
trap end EXIT
trap 'exit 130' INT TERM
mkdir "$work/source" "$work/mnt"
head -c 1G /dev/zero >"$work/source/large"
for ((i = 0; i < 1000; i++)); do
	head -c 4096 /dev/zero >"$work/source/f$i"
done
"$build/fs/mmapfs" "$work/source" "$work/mnt"
pid=$(pgrep -nf "$build/fs/mmapfs $work/source")

cat >"$work/client.py" <<'EOT'
import mmap, os, sys

what, top = sys.argv[1:]
if what == "round-trip":
    for _ in range(5000):
        try:
            os.getxattr(top + "/f0", "user.none")
        except OSError:
            pass
elif what == "open":
    for i in range(5000):
        fd = os.open(f"{top}/f{i % 1000}", os.O_RDONLY)
        os.read(fd, 4096)
        os.close(fd)
else:
    # Held, or a reclaimer might take it meanwhile.
    with open(top + "/../source/large", "rb") as file, \
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        memory.madvise(22)  # MADV_POPULATE_READ
        for _ in range(40):
            os.getxattr(top + "/large", "user.mmapfs.resident")
EOT

client()
{
	python3 "$work/client.py" "$1" "$work/mnt"
}

block()
{
	printf '\n## %s\n\n%s\n\n' "$1" "$2"
	sed -E 's/[[:space:]]+$//; s/^/    /' | grep -v '^ *$' || true
}

# latencies WORK: how long who is to run waits for a processor, and how often.
latencies()
{
	perf sched record -q -o "$work/sched" -- python3 "$work/client.py" "$1" "$work/mnt" \
		>/dev/null 2>&1
	perf sched latency -i "$work/sched" 2>/dev/null |
		grep -E '^ +(Task|mmapfs|python3)' | cut -d'|' -f1-5
}

# calls WORK: the daemon's system calls meanwhile.
calls()
{
	perf trace -s -p "$pid" -o "$work/calls" -- python3 "$work/client.py" "$1" "$work/mnt" \
		>/dev/null 2>&1 || true
	awk '/mmapfs \(/ { on = 1 } on && $2 ~ /^[0-9]+$/ {
		calls[$1] += $2; total[$1] += $4 } END { for (c in calls)
		printf "%-20s %8d calls %8.2f us each\n", c, calls[c], total[c] / calls[c] * 1000 }' \
		"$work/calls" | sort -k2,2 -nr | head -12
}

# samples WORK: where the daemon is, in kernel and program.
samples()
{
	perf record -q -e cpu-clock -F 4000 -p "$pid" -o "$work/samples" -- \
		python3 "$work/client.py" "$1" "$work/mnt" >/dev/null 2>&1
	perf report -i "$work/samples" --stdio --no-children -g none --percent-limit 1 \
		2>/dev/null | grep -E '^ +[0-9]+\.[0-9]+%' | cut -c1-80
}

cat <<EOT
# Traces

Made by \`tests/bench/traces.sh\` with perf(1), on the machine of \`docs/bench.md\`: Linux
$(uname -r | cut -d- -f1), $(nproc) processors. Tracing slows down what it traces: shares count here,
not times. What follows from it is in \`docs/bench.md\`.
EOT
client round-trip
latencies round-trip | block "A round trip: who waits for whom" \
	"5,000 requests that the daemon answers at once (getxattr of a name that is not there). The
delay is from the wake-up to the processor."
calls round-trip | block "A round trip: the daemon's system calls" \
	"The read waits for the request. perf loses events: of 5,000 requests fewer are seen."
calls open | block "Open, read 4 KiB, close: the daemon's system calls" "5,000 times."
samples resident | block "\`resident\` of a file of 1 GiB" \
	"The daemon's processor time while it is asked 40 times. filemap_cachestat is cachestat(2);
filemap_get_entry and __mincore_unmapped_range are mincore(2), page after page."
