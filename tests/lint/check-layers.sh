#!/bin/bash
# SPDX-License-Identifier: MIT
# Who may include whom: the layers of docs/design.md, by their #include lines.
set -u
cd "$(dirname "$0")/../.." || exit 2
bad=0

# refuse WHY PATTERN FILE... : no #include line of these files may match.
refuse()
{
	local why=$1 pattern=$2 hits

	shift 2
	[ $# -gt 0 ] || return 0
	hits=$(grep -nHE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($pattern)[>\"]" "$@")
	if [ -n "$hits" ]; then
		echo "$why:"
		echo "$hits"
		bad=1
	fi
}

mapfile -t core < <(find core -name '*.[ch]')
mapfile -t model < <(find fs -name '*.[ch]' \
	'(' -name 'inode*' -o -name 'handle*' -o -name 'region*' -o -name 'ctl*' \
	-o -name 'table*' -o -name 'worker*' -o -name 'creds*' -o -name 'metrics*' -o -name 'cache*' -o -name 'dir_fds*' ')')
mapfile -t outside < <(find fs tools node -name '*.[ch]' 2>/dev/null)

refuse "core knows nothing of FUSE or Node" '(.*/)?(fuse|fuse_.*|node_api|uv)[^/]*\.h' \
	"${core[@]}"
refuse "core includes only itself" '(\.\./)?(fs|tools|node)/.*' "${core[@]}"
refuse "core is silent" 'syslog\.h|err\.h' "${core[@]}"
refuse "the model of fs knows nothing of FUSE" \
	'(.*/)?fuse[^/]*\.h|passthrough\.h|reply\.h|ops\.h|session\.h' "${model[@]}"

# Outside of core (and its unit tests) its public header and base/ are all there is.
private=$(find core -maxdepth 1 -name '*.h' -printf '%f\n' | sed 's/\./\\./' | paste -sd '|')
own=$(find fs tools node -name '*.h' -printf '%f\n' 2>/dev/null | sort -u)
for header in $own; do
	if [ -e "core/$header" ]; then
		echo "core/$header has a namesake outside of core: which one is meant is luck"
		bad=1
	fi
done
refuse "private headers of core used outside of it" "(core/|\\.\\./core/)?($private)" \
	"${outside[@]}"

# The one table of system calls is the only way from core into the kernel's caches.
hits=$(grep -nE '(^|[^_>a-z])(madvise|mincore|mlock2?|munlock|msync|posix_fadvise|readahead)\(' \
	core/*.c | grep -vE '^core/sys\.c:|^[^:]*:[0-9]*:[[:space:]]*(/?\*|//)|/\*')
if [ -n "$hits" ]; then
	echo "core enters the kernel past core/sys.c:"
	echo "$hits"
	bad=1
fi

exit $bad
