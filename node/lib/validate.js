// SPDX-License-Identifier: MIT
// validate.js - arguments checked before anything is done, with the errors Node has.
'use strict'

const { inspect } = require('node:util')
const { fileURLToPath } = require('node:url')
const binding = require('./load.js')

function shown (value) {
  const text = inspect(value, { depth: -1 })
  return text.length > 60 ? `${text.slice(0, 60)}...` : text
}

function withCode (error, code) {
  error.code = code
  return error
}

function typeError (name, expected, value) {
  return withCode(new TypeError(
    `The "${name}" argument must be ${expected}. Received ${shown(value)}`),
  'ERR_INVALID_ARG_TYPE')
}

function valueError (name, expected, value) {
  return withCode(new TypeError(
    `The argument "${name}" must be ${expected}. Received ${shown(value)}`),
  'ERR_INVALID_ARG_VALUE')
}

function rangeError (name, expected, value) {
  return withCode(new RangeError(
    `The value of "${name}" is out of range. It must be ${expected}. ` +
    `Received ${shown(value)}`), 'ERR_OUT_OF_RANGE')
}

// An error of the system as Node shows them; errno is negative.
function systemError (errno, syscall, path) {
  return binding.systemError(errno, syscall, path)
}

function closedError () {
  return withCode(new Error('The mapping is closed'), 'ERR_MAPPING_CLOSED')
}

function truncatedError (path) {
  return binding.truncatedError(path)
}

// A number or bigint of bytes as a number; exact up to 2^53 - 1.
function toSize (value, name, least = 0) {
  if (typeof value === 'bigint') {
    if (value < BigInt(least) || value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw rangeError(name, `>= ${least} and <= ${Number.MAX_SAFE_INTEGER}`, value)
    }
    return Number(value)
  }
  if (typeof value !== 'number') throw typeError(name, 'of type number or bigint', value)
  if (!Number.isSafeInteger(value) || value < least) {
    throw rangeError(name, `an integer >= ${least} and <= ${Number.MAX_SAFE_INTEGER}`, value)
  }
  return value
}

function toObject (value, name) {
  if (value === undefined) return {}
  if (value === null || typeof value !== 'object') throw typeError(name, 'an object', value)
  return value
}

function toBoolean (value, name, otherwise = false) {
  if (value === undefined) return otherwise
  if (typeof value !== 'boolean') throw typeError(name, 'of type boolean', value)
  return value
}

function toFd (value, name = 'fd') {
  if (typeof value !== 'number') throw typeError(name, 'of type number', value)
  if (!Number.isInteger(value) || value < 0 || value > 0x7fffffff) {
    throw rangeError(name, 'an integer >= 0 and <= 2147483647', value)
  }
  return value
}

function toFunction (value, name) {
  if (value !== undefined && typeof value !== 'function') {
    throw typeError(name, 'of type function', value)
  }
  return value
}

function toOneOf (value, name, words) {
  if (typeof value !== 'string') throw typeError(name, 'of type string', value)
  if (!words.includes(value)) {
    throw valueError(name, `one of ${words.map((w) => `'${w}'`).join(', ')}`, value)
  }
  return value
}

// A path for C: a string, or bytes where it is no UTF-8.
function toPath (value, name = 'path') {
  if (value instanceof URL) value = fileURLToPath(value)
  if (typeof value === 'string') {
    if (value.includes('\0')) throw valueError(name, 'a string without null bytes', value)
    return value
  }
  if (value instanceof Uint8Array) {
    if (value.includes(0)) throw valueError(name, 'bytes without null bytes', value)
    return value
  }
  throw typeError(name, 'of type string or an instance of Buffer or URL', value)
}

function toText (value, name) {
  if (typeof value !== 'string') throw typeError(name, 'of type string', value)
  if (value.includes('\0')) throw valueError(name, 'a string without null bytes', value)
  return value
}

// { offset, length } within `whole` bytes. What is left out reaches to the end.
function toRange (value, whole, name = 'range') {
  if (value === undefined) return { offset: 0, length: whole }
  const range = toObject(value, name)
  const offset = toSize(range.offset ?? 0, `${name}.offset`)
  if (offset > whole) throw rangeError(`${name}.offset`, `<= ${whole}`, offset)
  if (range.length === undefined) return { offset, length: whole - offset }
  const length = toSize(range.length, `${name}.length`, 1)
  if (length > whole - offset) {
    throw rangeError(`${name}.length`, `<= ${whole - offset}`, length)
  }
  return { offset, length }
}

function toSignal (value) {
  if (value === undefined) return undefined
  if (value === null || typeof value !== 'object' || !('aborted' in value)) {
    throw typeError('options.signal', 'an instance of AbortSignal', value)
  }
  return value
}

module.exports = {
  closedError,
  rangeError,
  systemError,
  toBoolean,
  toFd,
  toFunction,
  toObject,
  toOneOf,
  toPath,
  toRange,
  toSignal,
  toSize,
  toText,
  truncatedError,
  typeError,
  valueError,
  withCode
}
