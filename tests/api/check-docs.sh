#!/bin/bash
# SPDX-License-Identifier: MIT
# Every exported function has a comment above it in <mmapfs.h> and a line in libmmapfs(3).
set -eu
cd "$(dirname "$0")/../.."
bad=0

# A function is documented when the block of declarations it stands in follows a comment.
undocumented=$(awk '
	/\*\/[[:space:]]*$/ { documented = 1; next }
	/^[[:space:]]*$/ { if (!open) documented = 0; next }
	/^[a-z].*mmapfs_[a-z0-9_]+\(/ && !/^typedef/ {
		if (!documented && match($0, /mmapfs_[a-z0-9_]+\(/))
			print substr($0, RSTART, RLENGTH - 1)
	}' core/include/mmapfs.h)
if [ -n "$undocumented" ]; then
	echo "no comment above: $undocumented"
	bad=1
fi
while read -r name; do
	if ! grep -qE "\\*$name\\*\\(" docs/man/libmmapfs.3.scd; then
		echo "not in docs/man/libmmapfs.3.scd: $name"
		bad=1
	fi
done < <(sed -n 's/^\t\(mmapfs_[a-z0-9_]*\);$/\1/p' core/mmapfs.sym)
exit $bad
