#!/bin/bash
# SPDX-License-Identifier: MIT
# Build the Debian packages of this checkout.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
out=

usage()
{
	cat <<EOT2
Usage: packaging/deb.sh [DIRECTORY]

Build mmapfs, libmmapfs0 and libmmapfs-dev as Debian packages and put them into DIRECTORY
(default: the current one). It builds in a temporary directory, from a copy, and leaves nothing
in the checkout. As root it installs what the build needs and lacks (apt). Where lintian is
installed, what it says is printed, and its errors and warnings are failures.

Example: packaging/deb.sh /tmp && sudo apt install /tmp/*mmapfs*.deb
EOT2
}

fail()
{
	echo "packaging/deb.sh: $*" >&2
	exit 1
}

case ${1:-} in
--help | -h)
	usage
	exit 0
	;;
-*) fail "unknown option '$1', see --help" ;;
esac
[ $# -le 1 ] || fail "one directory at a time"
out=$(cd "${1:-.}" && pwd) || fail "'${1:-.}' is not a directory"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8

# shellcheck source=tools/packages.sh
. "$top/tools/packages.sh"
packages_need dpkg-dev debhelper meson pkg-config gcc libc6-dev libfuse3-dev libcap-ng-dev \
	libsmartcols-dev libjansson-dev uthash-dev scdoc fakeroot || exit 1

work=$(mktemp -d "${TMPDIR:-/var/tmp}/mmapfs-deb.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Not what git does not know, nor builds: only the directories that are the project's.
mkdir "$work/mmapfs"
(cd "$top" && tar -cf - --exclude=node_modules --exclude=__pycache__ LICENSE NEWS.md README.md \
	core docs fs meson.build meson_options.txt node packaging tests tools) |
	tar -xf - -C "$work/mmapfs" || fail "cannot copy the checkout"
mv "$work/mmapfs/packaging/debian" "$work/mmapfs/debian" || exit 1

if ! (cd "$work/mmapfs" && dpkg-buildpackage --build=binary --no-sign) >"$work/log" 2>&1 </dev/null; then
	tail -n 40 "$work/log" >&2
	fail "dpkg-buildpackage failed; its last lines are above"
fi
if command -v lintian >/dev/null; then
	lintian --allow-root --fail-on error,warning "$work"/*.changes ||
		fail "lintian does not like it"
fi
cp "$work"/*.deb "$out" || exit 1
(cd "$work" && ls -1 ./*.deb)
