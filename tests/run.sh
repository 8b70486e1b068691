#!/bin/bash
# SPDX-License-Identifier: MIT
# Run every test suite; ends with one line: N passed, N failed, N skipped.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
suites_known="lint api unit unit-clang-asan unit-clang-tsan mount mount-asan mount-tsan mount-trixie cli cli-asan cli-tsan apps node node-asan node-package quickstart package"

usage()
{
	cat <<EOT
Usage: sudo tests/run.sh [OPTION]...

Install what the tests need (apt), build with gcc and clang, run all suites, and end
with one line of counts. Exits with 0 only when something passed and nothing failed.

  --suite NAME   only this suite; may be repeated: lint, api, unit, unit-clang-asan,
                 unit-clang-tsan, mount, mount-asan, mount-tsan, mount-trixie, cli,
                 cli-asan, cli-tsan, apps, node, node-asan, node-package, quickstart,
                 package
  --match TEXT   of the mount, cli and apps suites, only tests whose name matches (pytest -k)
  --keep         keep the build and result directories and say where they are
  --help         show this

Example: sudo tests/run.sh --suite mount --match lock
EOT
}

fail()
{
	echo "tests/run.sh: $*" >&2
	exit 2
}

suites=
match=
keep=no
while [ $# -gt 0 ]; do
	case $1 in
	--suite)
		[ $# -ge 2 ] || fail "--suite needs a name: $suites_known"
		case " $suites_known " in
		*" $2 "*) suites="$suites $2" ;;
		*) fail "unknown suite '$2'; known are: $suites_known" ;;
		esac
		shift
		;;
	--match)
		[ $# -ge 2 ] || fail "--match needs a text"
		match=$2
		shift
		;;
	--keep) keep=yes ;;
	--help | -h)
		usage
		exit 0
		;;
	*) fail "unknown option '$1', see --help" ;;
	esac
	shift
done
suites=${suites:-$suites_known}
[ "$(id -u)" -eq 0 ] || fail "mounting needs root: sudo tests/run.sh"

# The distribution's own tools: another python first in PATH has no pytest, and meson
# would find it.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
unset MMAPFS_DISABLE MMAPFS_BUILD

# shellcheck source=tools/packages.sh
. "$top/tools/packages.sh"
packages_need meson ninja-build pkg-config gcc g++ make libc6-dev binutils clang lld llvm \
	libclang-rt-dev libfuse3-dev fuse3 libcmocka-dev libcap-ng-dev libsmartcols-dev \
	libjansson-dev uthash-dev scdoc python3 python3-pytest \
	python3-pytest-rerunfailures python3-prometheus-client \
	attr acl fio vmtouch util-linux util-linux-extra \
	mount time e2fsprogs xfsprogs btrfs-progs findutils shellcheck codespell || exit 2

# Node.js may be there from elsewhere, with its headers; Debian's would not fit beside it.
command -v node >/dev/null || packages_need nodejs npm libnode-dev || exit 2

work=$(mktemp -d "${TMPDIR:-/var/tmp}/mmapfs-run.XXXXXX") || exit 2
# Ordinary users run the daemon too.
chmod 755 "$work"
results=$work/results
mkdir "$results"

clean_up()
{
	if [ "$keep" = yes ]; then
		echo "kept: $work" >&2
	else
		rm -rf "$work"
	fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# broken SUITE WHY: the suite could not be run at all, which counts as one failure.
broken()
{
	echo "$2" >"$results/$1/broken"
}

# skipped SUITE NAME WHY
skipped()
{
	echo "$3" >"$results/$1/$2.log"
	echo "$2 77" >>"$results/$1/scripts.txt"
}

# build DIRECTORY SUITE [SETUP-ARGUMENT]...: once for each directory.
build()
{
	local directory=$work/$1 suite=$2

	shift 2
	[ ! -e "$directory/built" ] || return 0
	if { [ -e "$directory/build.ninja" ] ||
		meson setup -Dwerror=true "$@" "$directory" "$top"; } >"$directory.log" 2>&1 &&
		ninja -C "$directory" --quiet -k 0 >>"$directory.log" 2>&1; then
		touch "$directory/built"
		return 0
	fi
	tail -n 60 "$directory.log"
	broken "$suite" "the build failed"
	return 1
}

# An addon with a sanitizer needs a Node.js with one: see suite_node-asan. The runtime is linked
# into some hundred programs, for which lld takes a quarter of the time of ld.
build_asan()
{
	CC=clang CC_LD=lld build clang-asan "$1" -Db_sanitize=address,undefined -Db_lundef=false \
		-Dnode=disabled
}

build_tsan()
{
	CC=clang CC_LD=lld build clang-tsan "$1" -Db_sanitize=thread -Db_lundef=false -Dnode=disabled
}

# unit_tests SUITE BUILD-DIRECTORY [MESON-TEST-ARGUMENT]...
unit_tests()
{
	local suite=$1 directory=$2

	shift 2
	meson test -C "$work/$directory" --suite unit "$@" --no-rebuild -q --print-errorlogs \
		>"$work/$suite.log" 2>&1
	if ! cp "$work/$directory/meson-logs/testlog.json" "$results/$suite/"; then
		tail -n 30 "$work/$suite.log"
		broken "$suite" "meson test left no log"
	fi
}

# scripts SUITE: every check of tests/SUITE is one test.
scripts()
{
	local suite=$1 script name status

	for script in "$top/tests/$suite"/check-*.sh; do
		name=$(basename "$script" .sh)
		MMAPFS_BUILD=$work/gcc bash "$script" >"$results/$suite/$name.log" 2>&1 </dev/null
		status=$?
		echo "$name $status" >>"$results/$suite/scripts.txt"
	done
}

# The kernel may take any page that is not held at any moment, and some machines have a
# reclaimer that does: what fails is run once more, and named; what fails twice has failed.
pytest_arguments=(-q -p no:cacheprovider --tb=short --show-capture=no -r R --reruns 1
	${match:+-k "$match"})

# pytest_ended SUITE STATUS: tests that failed are in its XML, anything else is not.
pytest_ended()
{
	case $2 in
	0 | 1 | 5) ;;
	*) broken "$1" "pytest did not finish" ;;
	esac
}

# mount_tests SUITE BUILD-DIRECTORY TESTS [PYTEST-ARGUMENT]...
mount_tests()
{
	local suite=$1 directory=$2 tests=$3

	shift 3
	if [ ! -e /dev/fuse ]; then
		broken "$suite" "/dev/fuse is missing (modprobe fuse)"
		return
	fi
	MMAPFS_BUILD=$work/$directory /usr/bin/python3 -m pytest "${pytest_arguments[@]}" \
		--junitxml="$results/$suite/junit.xml" "$@" "$top/tests/$tests" </dev/null
	pytest_ended "$suite" $?
}

suite_lint() { scripts lint; }
suite_api() { build gcc api && scripts api; }
suite_unit() { build gcc unit && unit_tests unit gcc; }

suite_unit-clang-asan()
{
	build_asan unit-clang-asan &&
		unit_tests unit-clang-asan clang-asan
}

suite_unit-clang-tsan()
{
	build_tsan unit-clang-tsan &&
		unit_tests unit-clang-tsan clang-tsan --no-suite single
}

suite_mount() { build gcc mount && mount_tests mount gcc mount; }

# The same with daemons that say so themselves when their memory or their locks are wrong.
suite_mount-asan()
{
	build_asan mount-asan &&
		mount_tests mount-asan clang-asan mount -m "not slow"
}

suite_mount-tsan()
{
	build_tsan mount-tsan &&
		mount_tests mount-tsan clang-tsan mount -m "not slow and not one_client"
}

# With a libfuse that negotiates passthrough itself, in a Debian that has it.
suite_mount-trixie()
{
	local log=$work/mount-trixie.log status

	bash "$top/tests/trixie.sh" --junit "$results/mount-trixie/junit.xml" \
		"${pytest_arguments[@]}" -m "not slow and not any_libfuse" </dev/null 2>&1 | tee "$log"
	status=${PIPESTATUS[0]}
	if [ "$status" -eq 77 ]; then
		skipped mount-trixie trixie "$(tail -n 1 "$log")"
	else
		pytest_ended mount-trixie "$status"
	fi
}

# Bash is there; the others are needed only here.
suite_cli()
{
	local shell

	for shell in fish zsh; do
		packages_need "$shell" || echo "the completions of $shell are skipped"
	done
	build gcc cli && mount_tests cli gcc cli
}

suite_cli-asan()
{
	build_asan cli-asan &&
		mount_tests cli-asan clang-asan cli -m "not slow"
}

suite_cli-tsan()
{
	build_tsan cli-tsan &&
		mount_tests cli-tsan clang-tsan cli -m "not slow"
}

# What applications do on a mount. Some of them are large, so they are needed only here.
suite_apps()
{
	packages_need git rsync tar acl tzdata python3-lmdb rocksdb-tools ||
		echo "the cases of what is missing are skipped"
	bash "$top/tests/lib/postgresql.sh" "$work/postgresql"
	build gcc apps &&
		MMAPFS_POSTGRESQL=$work/postgresql mount_tests apps gcc apps
}

suite_node()
{
	build gcc node || return
	if [ ! -e "$work/gcc/node/mmapfs.node" ]; then
		broken node "the addon was not built: node_api.h is missing (Debian: libnode-dev)"
		return
	fi
	MMAPFS_BUILD=$work/gcc MMAPFS_ADDON=$work/gcc/node/mmapfs.node \
		node --test --test-reporter=tap "$top"/node/test/*.test.js \
		>"$results/node/tap.txt" 2>"$work/node.log" </dev/null
}

# node_script SUITE SCRIPT: a script of node/test that is one test.
node_script()
{
	MMAPFS_BUILD=$work/gcc bash "$top/node/test/$2.sh" >"$results/$1/$2.log" 2>&1 </dev/null
	echo "$2 $?" >"$results/$1/scripts.txt"
}

suite_node-asan() { build gcc node-asan && node_script node-asan sanitize; }
suite_node-package() { node_script node-package package; }

# In a mount namespace of its own, where /usr/local is empty: installs, and leaves nothing.
suite_quickstart()
{
	local status

	if ! unshare --mount true 2>/dev/null; then
		skipped quickstart quickstart "no mount namespace can be made here"
		return
	fi
	mkdir -p "$work/usr-local" "$work/quick/sub"
	head -c 8M /dev/urandom >"$work/quick/sub/largest"
	echo small >"$work/quick/small"
	unshare --mount bash -c '
		set -e
		mount --bind "$1/usr-local" /usr/local
		MMAPFS_BUILD=$1/quickstart-build "$2/tools/quickstart.sh" --unmount "$1/quick"
	' bash "$work" "$top" >"$results/quickstart/quickstart.log" 2>&1 </dev/null
	status=$?
	echo "quickstart $status" >"$results/quickstart/scripts.txt"
	if [ "$status" -eq 0 ] && ! grep -q "sub/largest" "$results/quickstart/quickstart.log"; then
		broken quickstart "it did not pick the largest file"
	fi
}

# The Debian packages in a clean Debian, and every example of the manuals.
suite_package()
{
	local log=$results/package/package.log status

	bash "$top/tests/package.sh" >"$log" 2>&1 </dev/null
	status=$?
	if [ "$status" -eq 77 ]; then
		skipped package package "$(tail -n 1 "$log")"
	else
		echo "package $status" >"$results/package/scripts.txt"
	fi
}

for suite in $suites; do
	echo "== $suite"
	mkdir -p "$results/$suite"
	began=$SECONDS
	"suite_$suite"
	/usr/bin/python3 "$top/tests/lib/tally.py" "$results" "$suite"
	echo "   $((SECONDS - began)) s"
done

/usr/bin/python3 "$top/tests/lib/tally.py" "$results"
