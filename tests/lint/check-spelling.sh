#!/bin/bash
# SPDX-License-Identifier: MIT
# Misspelt words in what people read.
set -u
cd "$(dirname "$0")/../.." || exit 2
command -v codespell >/dev/null || { echo "codespell is not installed"; exit 77; }
codespell --quiet-level=2 --ignore-words-list=inout,mapp,fo,nd,te \
	--skip='*.pyc,__pycache__,subprojects,node_modules' \
	README.md CONTRIBUTING.md NEWS.md docs packaging core fs tools tests .ci
