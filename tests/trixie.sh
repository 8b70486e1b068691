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

skip()
{
	echo "SKIP: $*"
	exit 77
}

fail()
{
	tail -n 40 "$work/log"
	echo "tests/trixie.sh: $*"
	exit 2
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

# ---- what this machine must have -------------------------------------------------------

# Where apt gets Debian's own packages; it knows whose they are once it has its lists.
debian_mirror()
{
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Label: Debian' \
		2>/dev/null | grep -m 1 '^http'
}

[ "$(id -u)" -eq 0 ] || skip "making a Debian tree takes root"
[ -e /dev/fuse ] || skip "/dev/fuse is missing (modprobe fuse)"
unshare --mount --pid --fork true 2>/dev/null ||
	skip "no namespaces can be made here (in a chroot whose root is no mountpoint?)"
# shellcheck source=tools/packages.sh
. "$top/tools/packages.sh"
packages_need debootstrap debian-archive-keyring >/dev/null 2>&1
command -v debootstrap >/dev/null || skip "debootstrap is missing and cannot be installed"
mirror=$(debian_mirror || { apt-get update -qq >/dev/null 2>&1 && debian_mirror; }) ||
	skip "apt has no mirror of Debian here"
eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
export http_proxy https_proxy

# ---- processes and mounts that go with us ----------------------------------------------

work=$(mktemp -d "${TMPDIR:-/var/tmp}/mmapfs-trixie.XXXXXX") || exit 2
tree=$work/tree
unshared=
mkdir "$tree"
# Ordinary users run the daemon too.
chmod 755 "$work" "$tree"

# The first process of a pid namespace takes all others with it, and they their mounts.
end_namespace()
{
	local first=

	[ -n "$unshared" ] || return
	read -r first <"/proc/$unshared/task/$unshared/children"
	kill -KILL "${first:-$unshared}"
	wait "$unshared"
} 2>/dev/null

# Those of killed tests: a loop device stays, and would keep its image.
detach_loops()
{
	local name device inode

	losetup --list --noheadings --output NAME,BACK-MAJ:MIN,BACK-INO |
		while read -r name device inode; do
			[ "$device" = "$(stat -c %Hd:%Ld "$tree")" ] &&
				[ -n "$(find "$tree" -xdev -inum "$inode" -print -quit)" ] &&
				losetup --detach "$name"
		done
}

clean_up()
{
	end_namespace
	detach_loops
	rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# in_namespace COMMAND...: beside this shell, for it would not look at a signal before its end.
in_namespace()
{
	local status

	unshare --mount --propagation slave --pid --fork --kill-child "$@" &
	unshared=$!
	wait "$unshared"
	status=$?
	unshared=
	return $status
}

# in_tree COMMAND...: sees the tree, and this checkout as /src.
in_tree()
{
	in_namespace bash -c '
		set -e
		mount --bind "$2" "$2"
		cd "$2"
		mkdir -p src
		mount --rbind /dev dev
		mount --rbind /sys sys
		mount -t proc proc proc
		mount -t tmpfs tmpfs run
		mount --bind "$1" src
		mount -o remount,bind,ro src
		pivot_root . mnt
		# Else whatever is mounted on this machine stays in use for as long as we run.
		umount -l mnt
		shift 2
		exec chroot . "$@"
	' bash "$top" "$tree" "$@"
}

# ---- the tree --------------------------------------------------------------------------

make_tree()
{
	local certificates=

	case $mirror in https:*) certificates=--include=ca-certificates ;; esac
	in_namespace debootstrap --variant=minbase $certificates trixie "$tree" "$mirror" \
		>"$work/log" 2>&1 || return
	ln -sf /proc/mounts "$tree/etc/mtab"
	# Nobody needs this tree after a crash.
	echo force-unsafe-io >"$tree/etc/dpkg/dpkg.cfg.d/mmapfs"
	apt-config dump | grep -E '^Acquire::(http|https|Check-)' >"$tree/etc/apt/apt.conf.d/90here"
	return 0
}

install_packages()
{
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086
	in_tree apt-get update -qq &&
		in_tree apt-get install -qq -y --no-install-recommends $packages
} >"$work/log" 2>&1

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

make_tree || skip "debootstrap of trixie: $(grep '^E: ' "$work/log" | tail -n 1)"
install_packages || fail "the packages could not be installed"
configure || fail "meson setup failed"
grep -q 'FUSE passthrough *: native' "$work/log" || fail "its libfuse has no native passthrough"
build || fail "the build failed"
run_tests "$@"
