#!/bin/bash
# SPDX-License-Identifier: MIT
# Each claim of docs/security.md names tests, and each test that it names is there.
set -eu
cd "$(dirname "$0")/../.."
bad=0

# A claim is an item of a list, up to the next one or an empty line.
unproved=$(awk '
	function judge() { if (claim && claim !~ /\[`/ && claim !~ /root should/) print claim; claim = "" }
	/^- / { judge(); claim = $0; next }
	/^  / && claim { claim = claim $0; next }
	{ judge() }
	END { judge() }' docs/security.md)
if [ -n "$unproved" ]; then
	echo "claims without a test: $unproved"
	bad=1
fi
count=0
while read -r name; do
	count=$((count + 1))
	if ! grep -rqE "^(def|static void) $name\(" tests/mount tests/unit tests/cli; then
		echo "no such test: $name"
		bad=1
	fi
done < <(sed -n '/\[`/,/\]/p' docs/security.md | grep -oE '`[a-z][a-z0-9_]+`' | tr -d '`' |
	grep -vE '^(mmapfs|fusermount3|allow_other|lock_limit)$' | sort -u)
[ "$count" -ge 30 ] || { echo "only $count tests are named"; bad=1; }
exit $bad
