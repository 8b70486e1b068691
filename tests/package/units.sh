#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs in the container that tests/systemd.sh has booted: the units of the packages do what
# they say. Ends with PASS, or with what did not hold and what the journal has of it.
set -eu

service=mmapfs@mnt-service
file=/mnt/service/file

failed()
{
	echo "FAIL: line $1: $2"
	journalctl --no-pager --lines 40 --unit "$service" --unit mnt-data.mount
}
trap 'failed $LINENO "$BASH_COMMAND"' ERR

is_mounted()
{
	findmnt --noheadings --type fuse.mmapfs --mountpoint "$1" >/dev/null
}

is_unmounted()
{
	if is_mounted "$1"; then
		return 1
	fi
}

# figure NAME: of the statistics of the file.
figure()
{
	getfattr --absolute-names --only-values --name user.mmapfs.stat "$file" | sed -n "s/^$1=//p"
}

wait_until()
{
	local tries

	for ((tries = 0; tries < 100; tries++)); do
		"$@" && return
		sleep 0.1
	done
	return 1
}

is_gone()
{
	! pgrep -x mmapfs >/dev/null
}

is_locked()
{
	[ "$(figure locked)" = 1024 ]
}

answers()
{
	is_mounted /mnt/service && cmp -s "$file" /srv/data/file
}

prepare()
{
	mkdir -p /srv/data /mnt/service /mnt/data /etc/mmapfs
	head -c 4M /dev/urandom >/srv/data/file
	printf '%s\n' SOURCE=/srv/data OPTIONS=allow_other,lock=file >/etc/mmapfs/mnt-service.conf
	cp /usr/share/doc/mmapfs/examples/mnt-data.mount /etc/systemd/system/
	systemctl daemon-reload
}

# With all that the unit takes from the daemon it can still do what it is for.
service_works()
{
	systemctl start "$service"
	is_mounted /mnt/service
	cmp "$file" /srv/data/file
	echo written >/mnt/service/new
	grep -q written /srv/data/new
	wait_until is_locked
	exec 9<"$file"
	[ "$(figure data_path)" = passthrough ]
	[ "$(figure method)" = cachestat+mincore ]
	exec 9<&-
	mmapctl evict --sync /mnt/service/new
}

killed_service_comes_back()
{
	systemctl kill --signal KILL "$service"
	wait_until answers
	systemctl --quiet is-active "$service"
}

stopped_service_leaves_nothing()
{
	systemctl stop "$service"
	is_unmounted /mnt/service
	is_gone
	if systemctl --quiet is-failed "$service"; then
		return 1
	fi
}

mount_unit_works()
{
	systemctl start mnt-data.mount
	is_mounted /mnt/data
	cmp /mnt/data/file /srv/data/file
	systemctl stop mnt-data.mount
	is_unmounted /mnt/data
	wait_until is_gone
}

set -E
for step in prepare service_works killed_service_comes_back stopped_service_leaves_nothing \
	mount_unit_works; do
	$step
	echo "$step"
done
echo PASS
