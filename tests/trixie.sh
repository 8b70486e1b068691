#!/bin/bash
# SPDX-License-Identifier: MIT
# The mount tests on Debian 13 (trixie), whose libfuse negotiates FUSE passthrough itself.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
packages="meson ninja-build pkg-config gcc libc6-dev libfuse3-dev fuse3 libcap-ng-dev
	libsmartcols-dev libjansson-dev uthash-dev python3-pytest
	python3-pytest-rerunfailures python3-prometheus-client attr acl vmtouch
	util-linux-extra mount e2fsprogs xfsprogs btrfs-progs"

usage()
{
	cat <<EOT
Usage: sudo tests/trixie.sh [--junit FILE] [PYTEST-ARGUMENT]...

Make a small Debian 13 in a temporary directory, from the mirror that apt uses here, build
mmapfs in it and run the mount tests on that. All of it happens in namespaces of its own,
and nothing is left at the end, nor after a signal.

Exits with pytest's status; with 77 and the reason where such a tree cannot be had; with 2
where mmapfs cannot be built or tested in it.

  --junit FILE   also write pytest's results there, as XML
  --help         show this

Example: sudo tests/trixie.sh -m "not slow" -k lock
EOT
}

junit=
case ${1:-} in
--help | -h)
	usage
	exit 0
	;;
--junit)
	junit=${2:?--junit needs a file}
	shift 2
	;;
esac

export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8

# shellcheck source=tests/lib/debian-tree.sh
. "$top/tests/lib/debian-tree.sh"
tree_need
tree_begin trixie

configure()
{
	in_tree meson setup -Dwerror=true -Dnode=disabled -Dtests=disabled /build /src
} >"$work/log" 2>&1

build()
{
	in_tree ninja -C /build --quiet
} >"$work/log" 2>&1

run_tests()
{
	local status

	in_tree env MMAPFS_BUILD=/build PYTHONDONTWRITEBYTECODE=1 \
		python3 -m pytest -p no:cacheprovider --junitxml=/build/junit.xml "$@" /src/tests/mount
	status=$?
	[ -z "$junit" ] || cp "$tree/build/junit.xml" "$junit" || return 2
	return $status
}

tree_make trixie || skip "debootstrap of trixie: $(tree_complaint)"
# shellcheck disable=SC2086
tree_install $packages || fail "the packages could not be installed"
configure || fail "meson setup failed"
grep -q 'FUSE passthrough *: native' "$work/log" || fail "its libfuse has no native passthrough"
build || fail "the build failed"
run_tests "$@"
