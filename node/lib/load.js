// SPDX-License-Identifier: MIT
// load.js - find the binary: named, prebuilt, built by node-gyp, built by meson.
'use strict'

const path = require('node:path')

const root = path.join(__dirname, '..')

function candidates () {
  if (process.env.MMAPFS_ADDON) return [path.resolve(process.env.MMAPFS_ADDON)]
  return [
    path.join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'mmapfs.node'),
    path.join(root, 'build', 'Release', 'mmapfs.node'),
    path.join(root, '..', 'build', 'node', 'mmapfs.node')
  ]
}

function failure (reasons) {
  const error = new Error(
    `mmapfs has no binary that loads here (${process.platform}-${process.arch}, ` +
    `Node.js ${process.version}). Build one with: npm run build --prefix ${root}\n` +
    reasons.map((reason) => `  ${reason}`).join('\n'))
  error.code = 'ERR_DLOPEN_FAILED'
  return error
}

function load () {
  const reasons = []
  for (const file of candidates()) {
    try {
      return require(file)
    } catch (error) {
      // An older C library, say: the next one may fit.
      reasons.push(error.message.split('\n')[0])
    }
  }
  throw failure(reasons)
}

// A copy: in what Node-API fills, V8 looks each name up as in a dictionary, at each call.
module.exports = { ...load() }
