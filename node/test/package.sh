#!/bin/bash
# SPDX-License-Identifier: MIT
# What `npm pack` makes installs and runs outside of the repository: prebuilt, and rebuilt.
set -u

here=$(cd "$(dirname "$0")" && pwd)
command -v npm >/dev/null || { echo "SKIP: npm is not installed"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/var/tmp}/mmapfs-package.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
unset MMAPFS_ADDON MMAPFS_BUILD

fail()
{
	echo "FAILED: $*"
	[ ! -e "$work/log" ] || tail -n 30 "$work/log"
	exit 1
}

# In a copy: packing puts core's sources and a binary into the directory for a while.
mkdir "$work/top" && cp -r "$here/.." "$work/top/node" && cp -r "$here/../../core" "$work/top/core" &&
	cp "$here/../../LICENSE" "$work/top/" || exit 2
rm -rf "$work/top/node/"{build,node_modules,prebuilds,vendor}
(cd "$work/top/node" && npm pack --pack-destination "$work") >"$work/log" 2>&1 ||
	fail "npm pack"
for made in vendor prebuilds LICENSE; do
	[ ! -e "$work/top/node/$made" ] || fail "npm pack left $made behind"
done
rm -rf "$work/top"

mkdir "$work/user" && cd "$work/user" || exit 2
echo '{ "private": true }' >package.json
npm install --offline --no-audit --no-fund --ignore-scripts "$work"/mmapfs-*.tgz \
	>"$work/log" 2>&1 || fail "npm install"
[ "$(ls node_modules)" = mmapfs ] || fail "it has dependencies: $(ls node_modules)"
node -e '
	const { scripts = {}, dependencies = {} } = require("mmapfs/package.json")
	for (const name of ["preinstall", "install", "postinstall"])
		if (scripts[name]) throw new Error(`it has a script at ${name}`)
	if (Object.keys(dependencies).length) throw new Error("it has dependencies")
' >"$work/log" 2>&1 || fail "package.json"

cat >use.js <<'EOT'
const fs = require('node:fs')
fs.writeFileSync('file', Buffer.alloc(5000, 'abc'))
const mmapfs = require('mmapfs')
const mapping = mmapfs.open('file')
if (mapping.buffer.toString('latin1', 0, 3) !== 'abc') throw new Error('wrong bytes')
mapping.close()
const io = require('mmapfs/compat/mmap-io')
if (io.map(100, io.PROT_READ, io.MAP_SHARED, fs.openSync('file')).length !== 100) throw new Error('io')
const mmap = require('mmapfs/compat/mmap')
if (mmap(0, mmap.PROT_READ, mmap.MAP_SHARED, 'file').length !== 5000) throw new Error('mmap')
EOT
cat >use.mjs <<'EOT'
import { open, constants } from 'mmapfs'
import { map } from 'mmapfs/compat/mmap-io'
import mmap, { PAGESIZE } from 'mmapfs/compat/mmap'
if (open('file').length !== 5000 || !map || !mmap || PAGESIZE !== constants.PAGESIZE) throw new Error('esm')
EOT
use()
{
	node use.js >"$work/log" 2>&1 || fail "require, $1"
	node use.mjs >"$work/log" 2>&1 || fail "import, $1"
	echo "$1: it runs"
}
use "prebuilt binary"

rm -rf node_modules/mmapfs/prebuilds
if node use.js >"$work/log" 2>&1 || ! grep -q "npm run build --prefix" "$work/log"; then
	fail "without a binary it does not say what to do"
fi
npm run build --prefix node_modules/mmapfs >"$work/log" 2>&1 || fail "npm run build"
nm -D --defined-only node_modules/mmapfs/build/Release/mmapfs.node | grep -q ' mmapfs_' &&
	fail "the binary exports core"
use "built by node-gyp"

# Types, where the registry can be reached.
if npm install --no-audit --no-fund --ignore-scripts typescript @types/node >"$work/log" 2>&1; then
	cp "$here/types.ts" .
	npx tsc --noEmit --strict --target es2022 --lib es2022,esnext.disposable --module node16 \
		--moduleResolution node16 --types node types.ts >"$work/log" 2>&1 || fail "types"
	echo "types: they compile"
else
	echo "SKIP: typescript could not be had"
fi
