// SPDX-License-Identifier: MIT
// build.js - compile the addon with node-gyp, against headers that are on this machine.
'use strict'

const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { root } = require('./sources.js')

const built = path.join(root, 'build', 'Release', 'mmapfs.node')

// npm brings one; its place is told to scripts that npm runs.
function nodeGyp () {
  const npm = process.env.npm_execpath ??
    path.join(path.dirname(fs.realpathSync(process.execPath)), '..', 'lib', 'node_modules', 'npm',
      'bin', 'npm-cli.js')
  const places = [
    process.env.npm_config_node_gyp,
    path.join(path.dirname(npm), '..', 'node_modules', 'node-gyp', 'bin', 'node-gyp.js'),
    '/usr/share/nodejs/node-gyp/bin/node-gyp.js'
  ]
  const found = places.find((place) => place && fs.existsSync(place))
  return found ? [process.execPath, found] : ['node-gyp']
}

// Node-API's headers are those of any version; without any here node-gyp downloads some.
function headers () {
  const places = [path.join(path.dirname(fs.realpathSync(process.execPath)), '..'), '/usr',
    '/usr/local']
  const found = places.find((place) =>
    fs.existsSync(path.join(place, 'include', 'node', 'node_api.h')))
  return found ? [`--nodedir=${found}`] : []
}

function build () {
  const [command, ...first] = nodeGyp()
  const done = spawnSync(command, [...first, 'rebuild', ...headers()],
    { cwd: root, stdio: 'inherit' })
  if (done.error) {
    console.error(`mmapfs: node-gyp cannot be run: ${done.error.message}`)
    return 1
  }
  return done.status ?? 1
}

module.exports = { build, built }

if (require.main === module) {
  const missing = !fs.existsSync(built)
  process.exitCode = process.argv.includes('--if-missing') && !missing ? 0 : build()
}
