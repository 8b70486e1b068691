#!/bin/bash
# SPDX-License-Identifier: MIT
# Every option of mmapfs --help and every control attribute is in its manual page.
set -eu
cd "$(dirname "$0")/../.."
build=${MMAPFS_BUILD:-build}
[ -x "$build/fs/mmapfs" ] || { echo "mmapfs was not built"; exit 77; }
bad=0

while read -r option; do
	if ! grep -qF "*$option" docs/man/mmapfs.8.scd; then
		echo "option $option is not in docs/man/mmapfs.8.scd"
		bad=1
	fi
done < <("$build/fs/mmapfs" --help | sed -nE 's/^  (-o )?(-?[a-z_]+)(=.*)?( .*)?$/\2/p' |
	grep -vE '^(others|allow_other)$' | sort -u)
for name in stat pages resident dirty writeback evicted locked ranges map advise sync warm \
	evict lock policy version help; do
	if ! grep -qF "*user.mmapfs.$name*" docs/man/mmapfs-attributes.7.scd; then
		echo "user.mmapfs.$name is not in docs/man/mmapfs-attributes.7.scd"
		bad=1
	fi
done
exit $bad
