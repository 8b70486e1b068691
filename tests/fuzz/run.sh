#!/bin/bash
# SPDX-License-Identifier: MIT
# Look for inputs that break a parser: build the libFuzzer programs and run them in turn.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
targets_known=$(cd "$top/tests/fuzz" && for file in fuzz-*.c; do
	file=${file#fuzz-}
	echo "${file%.c}"
done)

usage()
{
	cat <<EOT
Usage: tests/fuzz/run.sh [OPTION]... [TARGET]...

Build the fuzz targets with clang and run each for a while, with the corpus of
tests/fuzz/corpus as the start. What it finds is kept, with a command that shows it
again. Ends with a line of counts; exits with 0 when nothing was found.

  --seconds N     for each target; default 60
  --jobs N        targets that run at the same time; default 1
  --build DIR     build there and keep it; default a temporary directory
  --out DIR       where finds and the grown corpora go; default a temporary directory,
                  which is kept when something was found
  --help          show this

Targets: ${targets_known//$'\n'/ }
Example: tests/fuzz/run.sh --seconds 480 --out /var/tmp/fuzz snapshot table
EOT
}

fail()
{
	echo "tests/fuzz/run.sh: $*" >&2
	exit 2
}

seconds=60
jobs=1
build=
out=
targets=
while [ $# -gt 0 ]; do
	case $1 in
	--seconds | --jobs | --build | --out)
		[ $# -ge 2 ] || fail "$1 needs a value"
		declare "${1#--}=$2"
		shift
		;;
	--help | -h)
		usage
		exit 0
		;;
	-*) fail "unknown option '$1', see --help" ;;
	*)
		[ -e "$top/tests/fuzz/fuzz-$1.c" ] || fail "no target '$1', see --help"
		targets="$targets $1"
		;;
	esac
	shift
done
targets=${targets:-$targets_known}

temporary=$(mktemp -d "${TMPDIR:-/var/tmp}/mmapfs-fuzz.XXXXXX") || exit 2
keep=no
clean_up()
{
	[ "$keep" = yes ] || rm -rf "$temporary"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
build=${build:-$temporary/build}
out=${out:-$temporary/out}
mkdir -p "$out" || exit 2

if ! command -v clang >/dev/null; then
	echo "SKIP: no clang (Debian: apt-get install clang libclang-rt-dev)"
	exit 77
fi
[ -e "$build/build.ninja" ] ||
	CC=clang meson setup -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
		-Dnode=disabled -Dman=disabled "$build" "$top" >"$out/build.log" 2>&1 ||
	fail "meson setup failed, see $out/build.log"
for target in $targets; do
	ninja -C "$build" --quiet "tests/fuzz/fuzz-$target" >>"$out/build.log" 2>&1 ||
		fail "the build failed, see $out/build.log"
done

# fuzz TARGET: the grown corpus and the finds are in $out/TARGET.
fuzz()
{
	local target=$1 seeds=$top/tests/fuzz/corpus/$1 dictionary=$top/tests/fuzz/$1.dict

	mkdir -p "$out/$target/corpus" "$out/$target/finds"
	local arguments=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048
		-report_slow_units=20
		-max_len=8192 -print_final_stats=1 -artifact_prefix="$out/$target/finds/")
	[ ! -e "$dictionary" ] || arguments+=(-dict="$dictionary")
	# A find ends libFuzzer: one target a time, the first find is enough.
	ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		"$build/tests/fuzz/fuzz-$target" "${arguments[@]}" "$out/$target/corpus" \
		"$seeds" >"$out/$target/log" 2>&1 </dev/null
}

number_after()
{
	sed -n "s/^$1: *\([0-9][0-9]*\)$/\1/p" "$2" | tail -n 1
}

report()
{
	local log=$out/$1/log executed find

	executed=$(number_after stat::number_of_executed_units "$log")
	find=$(find "$out/$1/finds" -type f | head -n 1)
	executed_all=$((executed_all + ${executed:-0}))
	if [ -n "$find" ]; then
		finds=$((finds + 1))
		echo "$1: ${executed:-0} inputs, FOUND; see $log; again with"
		echo "  $build/tests/fuzz/fuzz-$1 $find"
	elif [ -z "$executed" ]; then
		finds=$((finds + 1))
		echo "$1: ended without a count, see $log"
	else
		echo "$1: $executed inputs, nothing found"
	fi
}

executed_all=0
finds=0
running=
for target in $targets; do
	fuzz "$target" &
	running="$running $target"
	# shellcheck disable=SC2086 # words
	if [ "$(set -- $running && echo $#)" -ge "$jobs" ]; then
		wait
		for one in $running; do
			report "$one"
		done
		running=
	fi
done
wait
for one in $running; do
	report "$one"
done

# shellcheck disable=SC2086 # words
echo "$(set -- $targets && echo $#) targets, $seconds s each: $executed_all inputs, $finds finds"
if [ "$finds" -gt 0 ]; then
	keep=yes
	exit 1
fi
