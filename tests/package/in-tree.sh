#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs in the clean Debian that tests/package.sh made: install the packages in /debs, run every
# example of README and manual pages (/debs/examples), purge, and see that nothing is left.
# Functions are called by the name that a row of the list has.
# shellcheck disable=SC2317
set -u
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
version=$1
failed=0
count=0

wrong()
{
	echo "$*"
	failed=1
}

# sudo is not in such a tree, and who reads the examples knows what it means.
sudo()
{
	"$@"
}

# ---- what was there before -------------------------------------------------------------

# Of files that apt and dpkg keep for themselves only those of our packages count.
list_files()
{
	find / -xdev '(' -path /debs -o -path /src -o -path /proc -o -path /tmp \
		-o -path /var/cache -o -path /var/log -o -path /var/lib/apt -o -path /var/lib/dpkg ')' \
		-prune -o -print | sort
	find /var/lib/dpkg -name '*mmapfs*' | sort
}

installed_version()
{
	dpkg-query -W -f '${Version}\n' mmapfs libmmapfs0 libmmapfs-dev | sort -u
}

# ---- the places that the examples speak of ---------------------------------------------

prepare()
{
	mkdir -p /srv/data/old /srv/index /srv/models /srv/old /srv/table/data /mnt/data /mnt/lib \
		/mnt/table /var/lib/db /var/lib/prometheus/node-exporter /etc/mmapfs
	head -c 109967296 /dev/zero >/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1
	cp /usr/lib/x86_64-linux-gnu/libLLVM-14.so.1 /srv/data/model.bin
	# Longer than the ranges of the examples, but mostly a hole.
	head -c 64M /dev/urandom >/srv/data/model.gguf
	truncate -s 1100M /srv/data/model.gguf
	head -c 8M /dev/urandom | tee /srv/table/data/store.db /srv/data/wal.log \
		/srv/data/old/x /srv/index/a.idx /srv/data/b.idx /srv/models/m /srv/old/x >/var/lib/db/t
	sync
}

# page NAME: where its examples are run.
page()
{
	case $1 in
	mmapctl.1.scd | mmapfs-attributes.7.scd)
		mount -t fuse.mmapfs /srv/data /mnt/data -o allow_other
		;;
	esac
	case $1 in
	mmapfs-attributes.7.scd) place=/mnt/data ;;
	*) place=/srv/data ;;
	esac
}

end_page()
{
	cd /
	[ ! -e /run/model.pid ] || end_process /run/model.pid
	[ ! -e /run/idx.pid ] || end_process /run/idx.pid
	unmount /mnt/data
	unmount /mnt/lib
}

end_process()
{
	kill "$(cat "$1")"
	tail --pid="$(cat "$1")" -f /dev/null
	rm -f "$1"
}

# unmount DIRECTORY: if it is a mount.
unmount()
{
	! mountpoint -q "$1" || umount "$1" || wrong "$where: cannot unmount $1"
}

# ---- examples --------------------------------------------------------------------------

# Figures, pictures and columns differ from machine to machine.
shape()
{
	sed -E 's/[0-9]+(\.[0-9]+)?[KMG]?/N/g; s/[-.:=+*#%@]{16,}/PICTURE/g; s/ +/ /g; s/^ //'
}

# What the last command shows, if it was given: work in the background may take a moment.
check_output()
{
	local end=$((SECONDS + 30))

	[ -n "$expected" ] || return 0
	while [ "$(shape <<<"$shown")" != "$(shape <<<"$expected")" ]; do
		if [ $SECONDS -ge $end ]; then
			wrong "$command_where: '$command' shows" "$shown" "and not" "$expected"
			break
		fi
		sleep 0.1
		shown=$(eval "$command" 2>&1)
	done
	expected=
}

# A command that must succeed. cd has to be in this shell.
run()
{
	command=$2
	command_where=$1
	count=$((count + 1))
	case $command in
	cd\ *)
		shown=
		eval "$command" || wrong "$1: '$command' failed"
		;;
	*)
		shown=$(eval "$command" 2>&1 </dev/null) ||
			wrong "$1: '$command' ended with status $?: $shown"
		;;
	esac
}

try()
{
	run "$where" "$1"
}

# What README's session does, on a mount from a line of fstab. mount(8) is told no type.
fstab()
{
	unmount /mnt/data
	cp /etc/fstab /etc/fstab.before
	echo "$1" >>/etc/fstab
	try "mount /mnt/data"
	[ "$(findmnt -n -o FSTYPE,SOURCE /mnt/data | xargs)" = "fuse.mmapfs /srv/data" ] ||
		wrong "$where: what is mounted is not what fstab says"
	try "getfattr --only-values -n user.mmapfs.stat /mnt/data/wal.log"
	try "setfattr -n user.mmapfs.lock -v on /mnt/data/wal.log"
	try "mmapctl stat /mnt/data"
	[ "$(getfattr --absolute-names --only-values -n user.mmapfs.locked /mnt/data/wal.log)" = 2048 ] ||
		wrong "$where: what was locked is not"
	try "umount /mnt/data"
	mv /etc/fstab.before /etc/fstab
}

table()
{
	printf '%b\n' "$1" >/srv/table/regions
	try "mount -t fuse.mmapfs /srv/table/regions /mnt/table"
	[ "$(stat -c %s /mnt/table/index)" = 65536 ] || wrong "$where: the window has another size"
	try "umount /mnt/table"
}

policy()
{
	printf '%b\n' "$1" >/etc/mmapfs/policy
	try "mount -t fuse.mmapfs /srv/data /mnt/data -o policy=/etc/mmapfs/policy"
	getfattr --absolute-names --only-values -n user.mmapfs.policy /mnt/data | grep -q '^sections=4' ||
		wrong "$where: the policy has not four sections"
	try "umount /mnt/data"
}

examples()
{
	expected=
	shown=
	where=
	while IFS=$'\t' read -r where what text; do
		[ "$what" = output ] || check_output
		case $what in
		page)
			end_page
			page "$text"
			;;
		begin) cd "$place" || wrong "$where: no $place" ;;
		run) run "$where" "$text" ;;
		output) expected=${expected:+$expected$'\n'}$text ;;
		block) run "$where" "($(printf '%b' "$text"))" ;;
		fstab | table | policy) $what "$text" ;;
		*) wrong "$where: what is '$what'?" ;;
		esac
	done </debs/examples
	check_output
	end_page
}

# ---- the package -----------------------------------------------------------------------

check_package()
{
	[ "$(installed_version)" = "$version" ] || wrong "the packages have other versions"
	mmapfs --version | grep -q "^mmapfs $version," || wrong "mmapfs --version is another one"
	mmapctl --version | grep -q " $version\$" || wrong "mmapctl --version is another one"
	for page in man1/mmapctl.1 man3/libmmapfs.3 man7/mmapfs-attributes.7 man8/mmapfs.8 \
		man8/mount.mmapfs.8; do
		zcat "/usr/share/man/$page.gz" | grep -q "^\.TH .*mmapfs $version" ||
			wrong "$page is missing, or of another version"
	done
	for file in /usr/lib/systemd/system/mmapfs@.service /usr/share/zsh/site-functions/_mmapctl \
		/usr/share/doc/mmapfs/examples/mnt-data.mount /sbin/mount.mmapfs \
		/usr/share/bash-completion/completions/mmapctl \
		/usr/share/fish/vendor_completions.d/mmapctl.fish; do
		[ -e "$file" ] || wrong "$file is missing"
	done
}

list_files >/debs/before
if ! apt-get install -qq -y --no-install-recommends /debs/*.deb >/debs/apt.log 2>&1; then
	tail -n 20 /debs/apt.log
	echo "the packages could not be installed"
	exit 1
fi
check_package
prepare
examples
rm -rf /srv/[dimot]* /mnt/data /mnt/lib /mnt/table /var/lib/db* /var/lib/prometheus \
	/etc/mmapfs /usr/lib/x86_64-linux-gnu/libLLVM-14.so.1
apt-get purge -qq -y --auto-remove mmapfs libmmapfs0 libmmapfs-dev \
	>/debs/apt.log 2>&1 || wrong "purge failed: $(tail -n 5 /debs/apt.log)"
list_files >/debs/after
diff /debs/before /debs/after >/debs/diff || wrong "what is left, or gone, after the purge:" \
	"$(cat /debs/diff)"
[ "$failed" -ne 0 ] || echo "$count examples, nothing left"
exit $failed
