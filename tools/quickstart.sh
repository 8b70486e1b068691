#!/bin/bash
# SPDX-License-Identifier: MIT
# Build and install mmapfs, mount a directory, and show a session on its largest file.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
build=${MMAPFS_BUILD:-$top/build-quickstart}
directory=
unmount=no

usage()
{
	cat <<EOT
Usage: sudo tools/quickstart.sh [--unmount] [DIRECTORY]

Install what is missing (apt), build, install under /usr/local, mount DIRECTORY with
mount -t fuse.mmapfs on a fresh directory below /run, and run on its largest file the
commands that a user would type. DIRECTORY is served in place, nothing is copied;
the default is /usr/lib. Whatever is below it stays as it is.

  --unmount   unmount at the end; else the mount stays, and how to end it is printed
  --help      show this

Example: sudo tools/quickstart.sh /srv/data
EOT
}

fail()
{
	echo "quickstart: $*" >&2
	exit 1
}

while [ $# -gt 0 ]; do
	case $1 in
	--unmount) unmount=yes ;;
	--help | -h)
		usage
		exit 0
		;;
	-*) fail "unknown option '$1', see --help" ;;
	*)
		[ -z "$directory" ] || fail "one directory at a time: '$directory' or '$1'"
		directory=$1
		;;
	esac
	shift
done
directory=${directory:-/usr/lib}

[ "$(id -u)" -eq 0 ] || fail "installing and mounting need root: sudo tools/quickstart.sh"
[ -d "$directory" ] || fail "'$directory' is not a directory"
directory=$(cd "$directory" && pwd -P)
# Some other python first in PATH may have no meson.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

step()
{
	printf '\n== %s\n' "$*"
}

# Print a command as typed, run it, and end its output with a newline.
show()
{
	local output status

	printf '\n$ %s\n' "$1"
	output=$(eval "$1" 2>&1)
	status=$?
	[ -z "$output" ] || printf '%s\n' "$output"
	return $status
}

# The largest regular file that an eighth of RAM can hold: it shall be locked in RAM.
largest_file()
{
	local limit

	limit=$(awk '/^MemTotal:/ { printf "%.0f\n", $2 * 1024 / 8 }' /proc/meminfo)
	find "$1" -xdev -type f -size +0 -printf '%s\t%P\n' 2>/dev/null |
		awk -F '\t' -v limit="$limit" '
			NF == 2 && $1 <= limit && $1 > size { size = $1; name = $2 }
			END { print name }'
}

step "Packages"
# shellcheck source=tools/packages.sh
. "$top/tools/packages.sh"
packages_need meson ninja-build pkg-config gcc libc6-dev libfuse3-dev fuse3 libcap-ng-dev \
	libsmartcols-dev libjansson-dev uthash-dev scdoc attr mount || exit 1

step "Build and install"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! {
	{ [ -e "$build/build.ninja" ] ||
		meson setup --buildtype=release -Dtests=disabled -Dnode=disabled "$build" "$top"; } &&
		ninja -C "$build" && meson install -C "$build" --no-rebuild
} >"$log" 2>&1; then
	tail -n 40 "$log" >&2
	fail "the build failed; its last lines are above"
fi
if [ -n "${SUDO_UID:-}" ]; then
	chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$build"
fi
ldconfig
command -v mmapfs >/dev/null || fail "the build has no mmapfs program: is libfuse3-dev there?"
mmapfs --version

if [ ! -e /dev/fuse ]; then
	modprobe fuse 2>/dev/null
	[ -e /dev/fuse ] || fail "/dev/fuse is missing: the kernel has no FUSE (modprobe fuse)"
fi

name=$(largest_file "$directory")
[ -n "$name" ] || fail "'$directory' has no file to show this with"
mountpoint=$(mktemp -d /run/mmapfs.XXXX) || fail "cannot make a mountpoint below /run"
quoted=$(printf %q "./$name")
case $name in
[A-Za-z0-9]*) quoted=$(printf %q "$name") ;;
esac

give_up()
{
	umount -l "$mountpoint" 2>/dev/null
	rmdir "$mountpoint" 2>/dev/null
	fail "$*"
}

step "Mount $directory"
show "mount -t fuse.mmapfs $(printf %q "$directory") $mountpoint -o allow_other" ||
	give_up "the mount failed; what mmapfs said is above"

get="getfattr --only-values -n"
session()
{
	show "cd $mountpoint" && cd "$mountpoint" &&
		step "How much of its largest file is in RAM?" &&
		show "$get user.mmapfs.stat $quoted" &&
		step "Read it in (this returns at once), wait, and see which ranges are there" &&
		show "setfattr -n user.mmapfs.warm $quoted" &&
		show "until $get user.mmapfs.warm $quoted | grep -vE 'queued|running'; do sleep 0.1; done" &&
		show "$get user.mmapfs.resident $quoted" &&
		show "$get user.mmapfs.ranges $quoted | head -n 5" &&
		show "$get user.mmapfs.map $quoted" &&
		step "Push it out, and see that it is gone" &&
		show "setfattr -n user.mmapfs.evict $quoted" &&
		show "$get user.mmapfs.evict $quoted" &&
		show "$get user.mmapfs.resident $quoted" &&
		step "Keep it in: while locked, no evict takes it away" &&
		show "setfattr -n user.mmapfs.lock -v on $quoted" &&
		show "setfattr -n user.mmapfs.evict $quoted" &&
		show "$get user.mmapfs.evict $quoted" &&
		show "setfattr -n user.mmapfs.lock -v off $quoted" &&
		step "Write its dirty pages to the disk; sum up the whole directory" &&
		show "setfattr -n user.mmapfs.sync -v sync $quoted" &&
		show "$get user.mmapfs.stat ."
}
# In a subshell: this script must not keep the mount busy by standing in it.
(session) || give_up "that command failed; the mount is gone again"

if [ "$unmount" = yes ]; then
	step "Unmount"
	show "umount $mountpoint" || give_up "the mount is busy"
	rmdir "$mountpoint"
	exit 0
fi
cat <<EOT

$directory is mounted on $mountpoint: try it on your own files there.
  getfattr --only-values -n user.mmapfs.help $mountpoint    all names
  man mmapfs; man mmapfs-attributes
To end it:
  sudo umount $mountpoint && sudo rmdir $mountpoint
EOT
