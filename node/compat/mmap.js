// SPDX-License-Identifier: MIT
// mmap.js - the face of the package `mmap`: mmap(size, prot, flags, fd, offset).
'use strict'

const fs = require('node:fs')
const { binding, map, outOfRange } = require('./raw.js')
const { typeError } = require('../lib/validate.js')

const { constants } = binding
const INT_MAX = 0x7fffffff

// The shape that this package's errors have: a positive errno.
function asErrno (error) {
  if (!(error.errno < 0)) return error
  const text = error.message.replace(/^[A-Z0-9]+: (.)(.*?), mmap$/,
    (_, first, rest) => `${error.code}, ${first.toUpperCase()}${rest}`)
  return Object.assign(new Error(text), {
    errno: -error.errno, code: error.code, syscall: error.syscall
  })
}

// NaN is 0, as it is in C; the kernel then says what it thinks of that.
function toLength (value, name) {
  if (typeof value === 'bigint') value = Number(value)
  if (typeof value !== 'number') throw typeError(name, 'of type number', value)
  if (Number.isNaN(value)) return 0
  if (!Number.isSafeInteger(value) || value < 0) {
    throw outOfRange(`${name} must be an integer >= 0. Received ${value}`)
  }
  return value
}

function toBits (value, name) {
  if (value === undefined) return 0
  if (typeof value !== 'number') throw typeError(name, 'of type number', value)
  return Number.isInteger(value) && Math.abs(value) <= INT_MAX ? value : -1
}

function addMethods (buffer, handle) {
  let mapped = true
  const unmap = () => {
    if (!mapped) return false
    mapped = false
    binding.close(handle)
    return true
  }
  const sync = (offset = 0, length = buffer.length - offset, flags = constants.MS_SYNC) => {
    if (offset >= buffer.length) return undefined
    try {
      binding.rawSync(handle, offset, Math.min(length, buffer.length - offset), flags)
      return true
    } catch {
      return false
    }
  }
  const hidden = { writable: true, configurable: true, enumerable: false }
  Object.defineProperties(buffer, {
    unmap: { value: unmap, ...hidden },
    sync: { value: sync, ...hidden }
  })
  return buffer
}

function mapFd (size, prot, flags, fd, offset) {
  const at = offset === undefined ? 0 : toLength(offset, 'offset')
  try {
    const { buffer, handle } = map(toLength(size, 'size'), toBits(prot, 'prot'),
      toBits(flags, 'flags'), Number.isInteger(fd) && Math.abs(fd) <= INT_MAX ? fd : -1, at)
    return addMethods(buffer, handle)
  } catch (error) {
    throw asErrno(error)
  }
}

// By path: a missing file is created and a short one grows, when it is to be written.
function mapPath (size, prot, flags, path, offset) {
  const writes = (prot & constants.PROT_WRITE) !== 0
  if (writes) fs.closeSync(fs.openSync(path, 'a'))
  const fd = fs.openSync(path, writes ? 'r+' : 'r')
  try {
    const found = fs.fstatSync(fd).size
    const wanted = size ? toLength(size, 'size') : found
    if (writes && wanted > found) fs.ftruncateSync(fd, wanted)
    return mapFd(wanted, prot, flags, fd, offset)
  } finally {
    fs.closeSync(fd)
  }
}

function mmap (size, prot, flags, fd, offset) {
  if (arguments.length < 4) {
    throw new Error('mmap() takes 4 arguments: size, protection, flags, fd and offset.')
  }
  const number = fd instanceof Number ? fd.valueOf() : fd
  if (typeof number === 'number') return mapFd(size, prot, flags, number, offset)
  return mapPath(size, prot, flags, number, offset)
}

mmap.map = mmap
for (const name of ['PROT_NONE', 'PROT_READ', 'PROT_WRITE', 'PROT_EXEC', 'MAP_SHARED',
  'MAP_PRIVATE', 'MS_ASYNC', 'MS_INVALIDATE', 'MS_SYNC', 'PAGESIZE']) {
  Object.defineProperty(mmap, name, { value: constants[name], enumerable: true })
}
// Not in the original, but asked for there.
Object.defineProperty(mmap, 'MAP_ANONYMOUS', { value: constants.MAP_ANONYMOUS, enumerable: true })

module.exports = mmap
