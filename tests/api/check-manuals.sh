#!/bin/bash
# SPDX-License-Identifier: MIT
# Options, verbs, attributes, metrics, functions and features: each has its place in the manual,
# and what the manual describes exists.
set -eu
cd "$(dirname "$0")/../.."
build=${MMAPFS_BUILD:-build}
for program in fs/mmapfs tools/mmapctl; do
	[ -x "$build/$program" ] || { echo "$program was not built"; exit 77; }
done
exec python3 tests/api/manuals.py "$build"
