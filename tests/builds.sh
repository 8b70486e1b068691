#!/bin/bash
# SPDX-License-Identifier: MIT
# Build mmapfs in every way that it may be built, and run the unit tests of some.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)

usage()
{
	cat <<EOT
Usage: sudo tests/builds.sh [OPTION]...

Configure and build with gcc and clang, for release, with each optional part off, and the
library for 32 bits; every warning is an error. Says PASS, FAIL or SKIP for each, with a
reason, and ends with one line of counts. Exits with 0 when nothing failed.

  --quick        only the library: for 32 bits, with the corpora of its fuzz targets (the
                 unit tests need lists of packages that take a minute), and by itself
  --match TEXT   only builds whose name has TEXT in it
  --list         only say what there is
  --help         show this

Example: sudo tests/builds.sh --match clang
EOT
}

# name | compiler | what of it is built and tested | meson's arguments
builds=$(
	cat <<'EOT'
core-32|gcc -m32|test|-Dfs=disabled -Dtools=disabled -Dnode=disabled -Dman=disabled
core-alone|clang|build|-Dfs=disabled -Dtools=disabled -Dnode=disabled -Dman=disabled -Dtests=disabled
gcc-release|gcc|test|-Dbuildtype=release
clang|clang|test|
clang-release|clang|build|-Dbuildtype=release
gcc-minsize|gcc|build|-Dbuildtype=minsize -Dtests=disabled
without-fs|gcc|test|-Dfs=disabled
without-tools|gcc|test|-Dtools=disabled
without-node|gcc|build|-Dnode=disabled
without-man|gcc|build|-Dman=disabled
without-tests|gcc|build|-Dtests=disabled
EOT
)
quick=" core-32 core-alone "

fail()
{
	echo "tests/builds.sh: $*" >&2
	exit 2
}

only_quick=no
match=
while [ $# -gt 0 ]; do
	case $1 in
	--quick) only_quick=yes ;;
	--match)
		[ $# -ge 2 ] || fail "--match needs a text"
		match=$2
		shift
		;;
	--list)
		echo "$builds" | cut -d'|' -f1
		exit 0
		;;
	--help | -h)
		usage
		exit 0
		;;
	*) fail "unknown option '$1', see --help" ;;
	esac
	shift
done

export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
work=$(mktemp -d "${TMPDIR:-/var/tmp}/mmapfs-builds.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

passed=0
failed=0
skipped=0
broken()
{
	tail -n 30 "$2"
	echo "FAIL $1: $3"
}

# Can this compiler make a program that runs here?
compiles()
{
	# shellcheck disable=SC2086 # a compiler with its options
	echo 'int main(void) { return 0; }' |
		$1 -x c - -o "$work/try" >"$work/try.log" 2>&1 && "$work/try"
}

install_if_possible()
{
	[ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null &&
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" \
			>"$work/apt.log" 2>&1
}

# cmocka for 32 bits, unpacked in $work: no architecture is added to the machine's own apt.
cmocka_32()
{
	local apt=(-o APT::Architecture=i386 -o APT::Architectures=i386 -o Dir::State="$work/apt"
		-o Dir::Cache="$work/apt" -o Dir::State::status="$work/apt/status")

	mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/i386"
	touch "$work/apt/status"
	chmod 755 "$work"
	# One list that cannot be had does not matter, if it is not the one.
	apt-get "${apt[@]}" update >"$work/apt.log" 2>&1
	(cd "$work/apt" &&
		apt-get "${apt[@]}" download libcmocka0 libcmocka-dev) >>"$work/apt.log" 2>&1 ||
		return 1
	for package in "$work"/apt/*.deb; do
		dpkg-deb -x "$package" "$work/i386" || return 1
	done
	sed -i "s,^prefix=.*,prefix=$work/i386/usr,; s,\([=LI]\)/usr/,\1$work/i386/usr/," \
		"$work"/i386/usr/lib/i386-linux-gnu/pkgconfig/cmocka.pc
}

# What 32 bits need. Their unit tests are left out where cmocka cannot be had.
prepare_32()
{
	export PKG_CONFIG_LIBDIR=$work/i386/usr/lib/i386-linux-gnu/pkgconfig
	export LD_LIBRARY_PATH=$work/i386/usr/lib/i386-linux-gnu
	compiles "$1" || install_if_possible gcc-multilib
	compiles "$1" || return 1
	[ "$only_quick" = yes ] || cmocka_32 ||
		echo "     (no cmocka for 32 bits: of the tests only the fuzz corpora)"
}

build()
{
	local name=$1 compiler=$2 what=$3 arguments=$4
	local directory=$work/$name log=$work/$name.log

	# shellcheck disable=SC2086 # words
	CC=$compiler meson setup -Dwerror=true $arguments "$directory" "$top" >"$log" 2>&1 || {
		broken "$name" "$log" "meson setup"
		return
	}
	ninja -C "$directory" --quiet >>"$log" 2>&1 || {
		broken "$name" "$log" "it does not build"
		return
	}
	[ "$what" = build ] ||
		meson test -C "$directory" --suite unit --no-rebuild -q --print-errorlogs \
			>>"$log" 2>&1 || {
		broken "$name" "$log" "its unit tests fail"
		return
	}
	echo "PASS $name"
	rm -rf "$directory"
}

try()
{
	local name=$1 compiler=$2

	if [ "$name" = core-32 ] && ! prepare_32 "$compiler"; then
		echo "SKIP $name: no compiler for 32 bits (Debian: apt-get install gcc-multilib)"
	elif ! compiles "$compiler"; then
		echo "SKIP $name: no $compiler"
	else
		build "$@"
	fi
}

while IFS='|' read -r name compiler what arguments; do
	[ "$only_quick" = no ] || [ "${quick/ $name /}" != "$quick" ] || continue
	[ "${name/$match/}" != "$name" ] || [ -z "$match" ] || continue
	# In a process of its own: preparing may set what others must not see.
	out=$(try "$name" "$compiler" "$what" "$arguments" </dev/null)
	echo "$out"
	case $(tail -n 1 <<<"$out") in
	PASS*) passed=$((passed + 1)) ;;
	SKIP*) skipped=$((skipped + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
done <<<"$builds"

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
