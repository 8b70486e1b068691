// SPDX-License-Identifier: MIT
// pack.js - before `npm pack`: core's sources and a binary into the package; after: away.
'use strict'

const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { build, built } = require('./build.js')

const root = path.join(__dirname, '..')
const top = path.join(root, '..')
const vendor = path.join(root, 'vendor')
const prebuilds = path.join(root, 'prebuilds')
const licence = path.join(root, 'LICENSE')

function clean () {
  for (const made of [vendor, prebuilds, licence]) fs.rmSync(made, { recursive: true, force: true })
}

function isSource (file) {
  return fs.statSync(file).isDirectory() || /\.[ch]$/.test(file)
}

function pack () {
  clean()
  fs.cpSync(path.join(top, 'core'), path.join(vendor, 'core'),
    { recursive: true, filter: isSource })
  fs.copyFileSync(path.join(top, 'LICENSE'), licence)
  const status = build()
  if (status !== 0) return status
  const target = path.join(prebuilds, `${process.platform}-${process.arch}`, 'mmapfs.node')
  fs.mkdirSync(path.dirname(target), { recursive: true })
  fs.copyFileSync(built, target)
  // Only smaller without it: not to have strip is no failure.
  spawnSync('strip', ['--strip-unneeded', target])
  return 0
}

if (process.argv.includes('--clean')) clean()
else process.exitCode = pack()
