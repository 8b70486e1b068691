#!/bin/bash
# SPDX-License-Identifier: MIT
# The systemd units of the Debian packages, started by a systemd that systemd-nspawn boots.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)

usage()
{
	cat <<EOT
Usage: sudo tests/systemd.sh [DIRECTORY]

Build the Debian packages (packaging/deb.sh), make a clean Debian 12 in a temporary directory
from the mirror that apt uses here, install them and systemd in it, boot it in a container,
and use mmapfs@.service and the example of a .mount unit there. With DIRECTORY the packages
there are taken. About two minutes.

Exits with 77 and the reason where such a container cannot be had.

Example: sudo tests/systemd.sh
EOT
}

case ${1:-} in
--help | -h)
	usage
	exit 0
	;;
-*)
	echo "$0: unknown option '$1', see --help" >&2
	exit 2
	;;
esac
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8

# shellcheck source=tests/lib/debian-tree.sh
. "$top/tests/lib/debian-tree.sh"

# The container's own filter of system calls would refuse cachestat(2), which it does not know.
boot()
{
	SYSTEMD_SECCOMP=0 timeout --kill-after 20 180 systemd-nspawn --boot --directory "$tree" \
		--register=no --keep-unit --capability=all --bind=/dev/fuse --console=pipe \
		</dev/null >"$work/log" 2>&1
}

tree_need
packages_need systemd-container >/dev/null 2>&1 ||
	skip "systemd-nspawn is missing and cannot be installed"
tree_begin systemd
tree_packages "$@"
tree_make bookworm || skip "debootstrap of bookworm: $(tree_complaint)"
mkdir "$tree/debs"
cp "$debs"/mmapfs_*.deb "$debs"/libmmapfs0_*.deb "$tree/debs/" || exit 2
tree_install systemd systemd-sysv dbus attr mount procps || fail "systemd could not be installed"
in_tree bash -c 'apt-get install -qq -y /debs/*.deb' >"$work/log" 2>&1 ||
	fail "the packages could not be installed"
install -m 755 "$top/tests/package/units.sh" "$tree/usr/local/bin/units"
install -m 644 "$top/tests/package/units.service" "$tree/etc/systemd/system/"
in_tree systemctl enable --quiet units.service
boot
if [ ! -e "$tree/var/log/units" ]; then
	grep -q "Welcome to" "$work/log" || skip "no container boots here: $(tail -n 1 "$work/log")"
	fail "the container did not come so far"
fi
cat "$tree/var/log/units"
grep -q "^PASS$" "$tree/var/log/units"
