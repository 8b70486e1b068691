#!/bin/bash
# SPDX-License-Identifier: MIT
# The suite with addon and core under the address and undefined-behaviour sanitizers.
set -u

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cc=${CC:-gcc}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/mmapfs-sanitize.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

command -v "$cc" >/dev/null || { echo "SKIP: $cc is not installed"; exit 77; }
# The runtime has to be there before Node is: it is no program of ours.
case $cc in
*clang*) runtime=$("$cc" -print-file-name=libclang_rt.asan-x86_64.so) shared=-shared-libasan ;;
*) runtime=$("$cc" -print-file-name=libasan.so) shared= ;;
esac
[ -e "$runtime" ] || { echo "SKIP: $cc has no shared sanitizer runtime"; exit 77; }
# What gcc calls libasan.so may be a linker script.
runtime=$(realpath "$runtime")
headers=$(dirname "$(realpath "$(command -v node)")")/../include/node
[ -e "$headers/node_api.h" ] || headers=/usr/include/node

sanitize="-g -fsanitize=address,undefined -fno-sanitize-recover=undefined"

# compile SOURCE
# shellcheck disable=SC2086,SC2317
compile()
{
	"$cc" $sanitize -O1 -std=gnu11 -fPIC -fvisibility=hidden -fno-strict-aliasing \
		-fno-omit-frame-pointer -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DNAPI_VERSION=8 \
		-isystem "$headers" -I"$top/core" -I"$top/core/include" -pthread \
		-c -o "$(mktemp "$work/XXXXXX.o")" "$1"
}
export -f compile
export cc sanitize headers top work
printf '%s\0' "$top"/core/*.c "$here"/../src/*.c |
	xargs -0 -n 1 -P "$(nproc)" bash -c 'compile "$1"' compile || exit 2
# shellcheck disable=SC2086
"$cc" $sanitize $shared -shared -pthread -Wl,-z,nodelete -o "$work/mmapfs.node" \
	"$work"/*.o || exit 2

# Node leaks by design at its end, and handles SIGSEGV itself; quarantine is for our frees.
export ASAN_OPTIONS=detect_leaks=0:handle_segv=0:handle_sigbus=0:detect_odr_violation=0:log_path=$work/report
export UBSAN_OPTIONS=print_stacktrace=1
export MMAPFS_ADDON=$work/mmapfs.node
LD_PRELOAD=$runtime node --test --test-reporter=tap "$here"/*.test.js >"$work/log" 2>&1
status=$?
grep -A 20 '^ *not ok' "$work/log" | head -n 100
sed -n 's/^# \(tests\|pass\|fail\|skipped\) /\1 /p' "$work/log" | paste -sd ' '
if compgen -G "$work/report*" >/dev/null; then
	cat "$work"/report* | head -n 100
	exit 1
fi
! grep -q 'runtime error:' "$work/log" || { grep 'runtime error:' "$work/log"; exit 1; }
exit $status
