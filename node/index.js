// SPDX-License-Identifier: MIT
// index.js - what require('mmapfs') is.
'use strict'

const { constants: { MAX_LENGTH } } = require('node:buffer')
const binding = require('./lib/load.js')
const { Mapping } = require('./lib/mapping.js')
const { anonymous, cachestat, from, fromFd, open, openAsync } = require('./lib/open.js')
const { Control, control } = require('./lib/control.js')
const { toObject, toOneOf } = require('./lib/validate.js')

function installFaultGuard (options) {
  const { readOnlyWrites = 'crash' } = toObject(options, 'options')
  const how = toOneOf(readOnlyWrites, 'options.readOnlyWrites', ['crash', 'copy'])
  binding.installGuard(how === 'copy')
}

// Some runtimes (Electron) keep their memory in a cage and cannot show any other.
function externalBuffersWork () {
  const handle = binding.anonymous('mmapfs-probe', binding.constants.PAGESIZE, false)
  try {
    binding.window(handle, 0, 1)
    return true
  } catch {
    return false
  } finally {
    binding.close(handle)
  }
}

let externalBuffers
const features = Object.freeze({
  cachestat: binding.features.cachestat,
  get externalBuffers () { return (externalBuffers ??= externalBuffersWork()) },
  sharedArrayBuffer: binding.features.sharedArrayBuffer,
  maxLength: MAX_LENGTH
})

module.exports.open = open
module.exports.openAsync = openAsync
module.exports.fromFd = fromFd
module.exports.from = from
module.exports.anonymous = anonymous
module.exports.cachestat = cachestat
module.exports.control = control
module.exports.installFaultGuard = installFaultGuard
module.exports.Mapping = Mapping
module.exports.Control = Control
module.exports.constants = Object.freeze(binding.constants)
module.exports.features = features
module.exports.version = binding.version
