// SPDX-License-Identifier: MIT
// mmap-io.js - the face of mmap-io, mmap-utils and @riaskov/mmap-io.
'use strict'

const {
  binding, handleOf, lengthOf, map: rawMap, offsetOf, outOfRange
} = require('./raw.js')
const { typeError, withCode } = require('../lib/validate.js')

const { constants } = binding
const INT_MAX = 0x7fffffff
const EINVAL = 22
const ENOMEM = 12
const EOVERFLOW = 75

const ADVISE_USAGE = 'advise() takes 2 or 4 arguments: (buffer :Buffer, advise :int) | ' +
  '(buffer :Buffer, offset :int, length :int, advise :int).'
const INCORE_USAGE = 'incore() takes 1 argument: (buffer :Buffer) .'

// The package's own text, with what its errors lack.
function failed (text, errno, code, syscall, Kind = Error) {
  return Object.assign(new Kind(`${text}, ${errno}`), { code, errno: -errno, syscall })
}

function translate (error, text) {
  return error.errno < 0 ? failed(text, -error.errno, error.code, error.syscall) : error
}

function wrongType (message) {
  return withCode(new TypeError(message), 'ERR_INVALID_ARG_TYPE')
}

function toInt (value, message, otherwise) {
  if (value === undefined && otherwise !== undefined) return otherwise
  if (typeof value !== 'number') throw withCode(new Error(message), 'ERR_INVALID_ARG_TYPE')
  // What is no int is a bit that the kernel does not know.
  return Number.isInteger(value) && Math.abs(value) <= INT_MAX ? value : -1
}

function toSize (value) {
  if (typeof value !== 'number') {
    throw withCode(new Error('mmap: size (arg[0]) must be an integer'), 'ERR_INVALID_ARG_TYPE')
  }
  if (Number.isNaN(value)) return 0
  if (!Number.isSafeInteger(value) || value < 0) {
    throw outOfRange(`mmap: size (arg[0]) must be an integer >= 0. Received ${value}`)
  }
  return value
}

function toOffset (value) {
  if (value === undefined) return 0
  if (typeof value === 'bigint') value = Number(value)
  if (typeof value !== 'number') throw typeError('offset', 'of type number', value)
  if (!Number.isSafeInteger(value)) {
    throw outOfRange(`mmap: offset (arg[4]) must be an integer. Received ${value}`)
  }
  if (value < 0) throw failed('mmap failed', EOVERFLOW, 'EOVERFLOW', 'mmap', RangeError)
  return value
}

function map (size, protection, flags, fd, offset, advise) {
  const length = toSize(size)
  const prot = toInt(protection, 'mmap: protection_flags (arg[1]) must be an integer')
  const bits = toInt(flags, 'mmap: flags (arg[2]) must be an integer')
  const file = toInt(fd, 'mmap: fd (arg[3]) must be an integer (a file descriptor)')
  const at = toOffset(offset)
  const hint = toInt(advise, 'mmap: advise (arg[5]) must be an integer', 0)
  const give = (handle) => {
    try {
      binding.rawAdvise(handle, 0, length, hint)
    } catch (error) {
      throw failed('madvise() failed', -error.errno, error.code, error.syscall)
    }
  }
  try {
    return rawMap(length, prot, bits, file, at, hint === 0 ? undefined : give).buffer
  } catch (error) {
    throw error.syscall === 'mmap' ? translate(error, 'mmap failed') : error
  }
}

// Do something to part of a mapped buffer; other memory is not touched, whoever asks.
function onPart (call, handle, view, offset, length, last, text, syscall) {
  if (handle === undefined) throw failed(text, EINVAL, 'EINVAL', syscall)
  if (!(offset >= 0 && length >= 0 && offset + length <= lengthOf.call(view))) {
    throw failed(text, ENOMEM, 'ENOMEM', syscall, RangeError)
  }
  try {
    return call(handle, offsetOf.call(view) + offset, length, last)
  } catch (error) {
    throw translate(error, text)
  }
}

function toHandle (value, message = 'advice(): buffer (arg[0]) must be a Buffer') {
  try {
    return handleOf(value)
  } catch {
    throw wrongType(message)
  }
}

const ADVICE_1 = 'advice(): (arg[1]) must be an integer'
const notInt = (i) => `advice(): (arg[${i}]) must be an integer`

function advise (buffer, a, b, c) {
  const count = arguments.length
  if (count !== 2 && count !== 4) throw new Error(ADVISE_USAGE)
  const handle = toHandle(buffer)
  if (count === 2) {
    onPart(binding.rawAdvise, handle, buffer, 0, lengthOf.call(buffer), toInt(a, ADVICE_1),
      'madvise() failed', 'madvise')
    return
  }
  // Not cut to 32 bits: the buffer may be longer.
  toInt(a, ADVICE_1)
  toInt(b, notInt(2))
  onPart(binding.rawAdvise, handle, buffer, a, b, toInt(c, notInt(3)), 'madvise() failed',
    'madvise')
}

function incore (buffer) {
  if (arguments.length !== 1) throw new Error(INCORE_USAGE)
  const { resident, pages } = onPart(binding.rawIncore, toHandle(buffer), buffer, 0,
    lengthOf.call(buffer), undefined, 'mincore() failed', 'mincore')
  return [pages - resident, resident]
}

function sync (buffer, ...rest) {
  const handle = toHandle(buffer, 'sync(): buffer (arg[0]) must be a Buffer')
  const short = typeof rest[0] === 'boolean'
  const [offset, length, blocking, invalidate] = short ? [0, undefined, ...rest] : rest
  const from = offset || 0
  for (const value of [from, length || 0]) {
    if (typeof value !== 'number') throw typeError('offset or length', 'of type number', value)
  }
  const flags = (blocking ? constants.MS_SYNC : constants.MS_ASYNC) |
    (invalidate ? constants.MS_INVALIDATE : 0)
  // The originals pass the whole length whatever the offset, and so run past the end.
  onPart(binding.rawSync, handle, buffer, from, length || lengthOf.call(buffer) - from, flags,
    'msync() failed', 'msync')
}

const mmap = { sync }
for (const [name, value] of Object.entries({ map, advise, incore })) {
  Object.defineProperty(mmap, name, { value, enumerable: true })
}
for (const name of ['PROT_READ', 'PROT_WRITE', 'PROT_EXEC', 'PROT_NONE', 'MAP_SHARED',
  'MAP_PRIVATE', 'MAP_NONBLOCK', 'MAP_POPULATE', 'MAP_ANONYMOUS', 'MADV_NORMAL', 'MADV_RANDOM',
  'MADV_SEQUENTIAL', 'MADV_WILLNEED', 'MADV_DONTNEED', 'PAGESIZE']) {
  Object.defineProperty(mmap, name, { value: constants[name], enumerable: true })
}

module.exports = mmap
