# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by quickstart.sh and tests/run.sh: Debian packages, installed only when missing.

# packages_need NAME... : install those that are not there. Fails with one clear line.
packages_need()
{
	local name missing=()

	if ! command -v dpkg-query >/dev/null; then
		echo "note: no dpkg here; these Debian packages, or the like, must be there: $*"
		return 0
	fi
	for name; do
		if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then
			missing+=("$name")
		fi
	done
	if [ ${#missing[@]} -eq 0 ]; then
		return 0
	fi
	if [ "$(id -u)" -ne 0 ]; then
		echo "missing packages, and only root can install them: ${missing[*]}" >&2
		return 1
	fi
	echo "installing: ${missing[*]}"
	packages_install "${missing[@]}"
}

packages_install()
{
	local log

	log=$(mktemp)
	export DEBIAN_FRONTEND=noninteractive
	# A fresh machine has no lists yet; a stale list is only tried again when it fails.
	if apt-get install -qq -y --no-install-recommends "$@" >"$log" 2>&1 </dev/null ||
		{ apt-get update -qq >"$log" 2>&1 </dev/null &&
			apt-get install -qq -y --no-install-recommends "$@" >"$log" 2>&1 </dev/null; }; then
		rm -f "$log"
		return 0
	fi
	cat "$log" >&2
	rm -f "$log"
	echo "apt-get could not install: $*" >&2
	return 1
}
