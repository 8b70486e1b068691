#!/bin/bash
# SPDX-License-Identifier: MIT
# The plain rules of layout: licence line, head sentence, trailing blanks, columns, size.
set -u
cd "$(dirname "$0")/../.." || exit 2
bad=0

say()
{
	echo "$1:"
	echo "$2"
	bad=1
}

mapfile -t code < <(find core fs tools tests -type f -name '*.[ch]')
mapfile -t scripts < <(find .ci packaging tools tests -type f \
	'(' -name '*.sh' -o -name '*.py' -o -name meson.build -o -path .ci/run ')')

hits=$(for file in "${code[@]}" "${scripts[@]}"; do
	head -n 2 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file"
done)
[ -z "$hits" ] || say "no licence line at the top" "$hits"

hits=$(for file in "${code[@]}"; do
	sed -n 2p "$file" | grep -q '^/\*' || echo "$file"
done)
[ -z "$hits" ] || say "no head comment on line 2" "$hits"

hits=$(grep -nHE '[[:blank:]]+$' "${code[@]}" "${scripts[@]}")
[ -z "$hits" ] || say "blanks at the end of a line" "$hits"

# A string that users may search for stays on one line, however long.
hits=$(for file in "${code[@]}"; do
	expand -t 8 "$file" | awk -v file="$file" 'length > 100 && !/"/ { print file ":" FNR }'
done)
[ -z "$hits" ] || say "lines beyond 100 columns" "$hits"

# The public header is one by design: the reference of all that is exported.
hits=$(wc -l "${code[@]}" "${scripts[@]}" |
	awk '$2 != "total" && $2 !~ /\/mmapfs\.h$/ && $1 > 800')
[ -z "$hits" ] || say "files beyond 800 lines: look for the seam" "$hits"

exit $bad
