# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by tests/trixie.sh, package.sh and systemd.sh: a small Debian in a temporary directory,
# made from the mirror that apt uses here, and commands in it. All of it happens in namespaces
# of its own, and nothing is left at the end, nor after a signal.
#
# tree_need; tree_begin NAME; tree_make RELEASE || skip ...; in_tree COMMAND...

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=     # a directory of our own, gone at the end
tree=     # the Debian in it
unshared= # unshare(1) while a command is in the tree

skip()
{
	echo "SKIP: $*"
	exit 77
}

# fail WHY: with what was said last.
fail()
{
	tail -n 40 "$work/log"
	echo "$0: $*"
	exit 2
}

# Where apt gets Debian's own packages; it knows whose they are once it has its lists.
debian_mirror()
{
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Label: Debian' \
		2>/dev/null | grep -m 1 '^http'
}

# What this machine must have, or SKIP.
tree_need()
{
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
}

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

tree_end()
{
	end_namespace
	detach_loops
	rm -rf --one-file-system "$work"
}

# tree_begin NAME
tree_begin()
{
	work=$(mktemp -d "${TMPDIR:-/var/tmp}/mmapfs-$1.XXXXXX") || exit 2
	tree=$work/tree
	mkdir "$tree"
	# Ordinary users run the daemon too.
	chmod 755 "$work" "$tree"
	trap tree_end EXIT
	trap 'exit 130' INT TERM HUP
}

# tree_packages [DIRECTORY]: let $debs be where our Debian packages are, built if none is named.
tree_packages()
{
	if [ $# -gt 0 ]; then
		debs=$(cd "$1" && pwd) || exit 2
		return
	fi
	debs=$work/debs
	mkdir "$debs"
	"$top/packaging/deb.sh" "$debs" >"$work/log" 2>&1 || fail "the packages were not built"
}

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

# tree_make RELEASE
tree_make()
{
	local certificates=

	case $mirror in https:*) certificates=--include=ca-certificates ;; esac
	in_namespace debootstrap --variant=minbase $certificates "$1" "$tree" "$mirror" \
		>"$work/log" 2>&1 || return
	ln -sf /proc/mounts "$tree/etc/mtab"
	# Nobody needs this tree after a crash.
	echo force-unsafe-io >"$tree/etc/dpkg/dpkg.cfg.d/mmapfs"
	apt-config dump | grep -E '^Acquire::(http|https|Check-)' >"$tree/etc/apt/apt.conf.d/90here"
	return 0
}

# Why tree_make failed.
tree_complaint()
{
	grep '^E: ' "$work/log" | tail -n 1
}

# tree_install PACKAGE...
tree_install()
{
	export DEBIAN_FRONTEND=noninteractive
	in_tree apt-get update -qq &&
		in_tree apt-get install -qq -y --no-install-recommends "$@"
} >"$work/log" 2>&1
