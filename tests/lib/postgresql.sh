#!/bin/bash
# SPDX-License-Identifier: MIT
# Put PostgreSQL's programs into a directory without installing them: the packages would make
# a cluster, start it and enable it at boot. Does nothing where they are installed anyway.
set -eu

directory=$1
status=${2:-/var/lib/dpkg/status} # to try it where they are installed

if [ $# -eq 1 ] && compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null; then
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	echo "PostgreSQL's programs are not installed, and there is no apt-get"
	exit 77
fi

archives=$directory.debs
mkdir -p "$archives/partial" "$directory"
trap 'rm -rf "$archives"' EXIT
fetch()
{
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
		--download-only -o Dir::State::status="$status" \
		-o Dir::Cache::archives="$archives" postgresql </dev/null >"$archives/log" 2>&1
}
if ! fetch && ! { apt-get update -qq && fetch; } >>"$archives/log" 2>&1; then
	tail -n 1 "$archives/log"
	exit 77
fi
for package in "$archives"/*.deb; do
	dpkg-deb --extract "$package" "$directory"
done
