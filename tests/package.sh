#!/bin/bash
# SPDX-License-Identifier: MIT
# The Debian packages, installed, used and purged in a clean Debian 12.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)

usage()
{
	cat <<EOT2
Usage: sudo tests/package.sh [DIRECTORY]

Build the Debian packages (packaging/deb.sh), make a clean Debian 12 in a temporary directory
from the mirror that apt uses here, install them in it, run every example of README and the
manual pages, purge, and see that nothing is left. With DIRECTORY the packages there are taken.

Exits with 77 and the reason where such a tree cannot be had.

Example: sudo tests/package.sh
EOT2
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

tree_need
tree_begin package
tree_packages "$@"
python3 "$top/tests/package/examples.py" >"$work/examples" 2>"$work/log" ||
	fail "not every example is one that a test can run"
tree_make bookworm || skip "debootstrap of bookworm: $(tree_complaint)"
# What examples use and the packages do not bring.
tree_install mount attr util-linux-extra || fail "what the examples use could not be installed"
mkdir "$tree/debs"
cp "$debs"/mmapfs_*.deb "$debs"/libmmapfs0_*.deb "$debs"/libmmapfs-dev_*.deb "$work/examples" \
	"$tree/debs/" || exit 2
version=$(sed -nE "s/^ *version: '(.*)',/\1/p" "$top/meson.build")
in_tree bash /src/tests/package/in-tree.sh "$version"
