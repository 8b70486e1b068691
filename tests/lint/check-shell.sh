#!/bin/bash
# SPDX-License-Identifier: MIT
# Every shell script passes shellcheck.
set -u
cd "$(dirname "$0")/../.." || exit 2
command -v shellcheck >/dev/null || { echo "shellcheck is not installed"; exit 77; }
mapfile -t scripts < <(find .ci packaging tools tests -type f '(' -name '*.sh' -o -path .ci/run ')')
shellcheck -x -e SC2016 "${scripts[@]}"
