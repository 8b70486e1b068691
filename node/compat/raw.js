// SPDX-License-Identifier: MIT
// raw.js - what the compatible faces share: mappings by the kernel's bits, found by buffer.
'use strict'

const { constants: { MAX_LENGTH } } = require('node:buffer')
const binding = require('../lib/load.js')
const { withCode } = require('../lib/validate.js')

// Only what was mapped here is ever advised or synced: a heap buffer would lose its bytes.
const handles = new WeakMap()

const getter = (name) =>
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), name).get
const bufferOf = getter('buffer')
const offsetOf = getter('byteOffset')
const lengthOf = getter('byteLength')

let guarded = false

// Those packages die of a short file and of a store to a read-only buffer; these faces are
// asked for not to.
function guard () {
  if (!guarded) binding.installGuard(true)
  guarded = true
}

function outOfRange (message) {
  return withCode(new RangeError(message), 'ERR_OUT_OF_RANGE')
}

// size and offset are numbers that the kernel could take. What `afterwards` throws unmaps.
function map (size, prot, flags, fd, offset, afterwards) {
  if (!(size <= MAX_LENGTH)) {
    throw outOfRange(`size must be <= ${MAX_LENGTH}, the longest Buffer here`)
  }
  guard()
  const handle = binding.rawMap(size, prot, flags, fd, offset)
  try {
    afterwards?.(handle)
    const array = binding.window(handle, 0, size)
    const buffer = Buffer.from(array)
    handles.set(array, handle)
    return { buffer, handle }
  } catch (error) {
    binding.close(handle)
    throw error
  }
}

// These getters throw for everything that is no typed array, and cannot be overridden.
const handleOf = (view) => handles.get(bufferOf.call(view))

module.exports = { binding, handleOf, lengthOf, map, offsetOf, outOfRange }
