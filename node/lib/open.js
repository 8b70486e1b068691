// SPDX-License-Identifier: MIT
// open.js - the ways to a Mapping, and cachestat(), which needs none.
'use strict'

const fs = require('node:fs')
const binding = require('./load.js')
const { ADVICE, Mapping, making } = require('./mapping.js')
const {
  rangeError, systemError, toBoolean, toFd, toObject, toOneOf, toPath, toRange, toSize,
  toText, typeError, valueError
} = require('./validate.js')

const ACCESS = ['read', 'write', 'copy'] // by enum mmapfs_access
const CREATE = 1 // enum mmapfs_map_flags
const GROW = 2
const LAZY = 4
const ESTALE = -116

function toGrow (value) {
  if (value === 'fallocate') return true
  if (typeof value === 'string') throw valueError('options.grow', "a boolean or 'fallocate'", value)
  return toBoolean(value, 'options.grow')
}

function toMode (value) {
  const mode = toSize(value ?? 0o666, 'options.mode')
  if (mode > 0o7777) throw rangeError('options.mode', '<= 0o7777', value)
  return mode
}

// Addresses are taken when something asks for them: a handle that only looks at residency,
// warms or copies needs none.
const PLAIN = Object.freeze({
  access: 'read', number: 0, flags: LAZY, offset: 0, length: 0, mode: 0o666, advice: undefined,
  populate: false, lock: false, hugePages: false, allowPastEof: false, name: undefined,
  steps: false
})

// The options as the binding takes them, and what is left to do once it is mapped.
function toOptions (options) {
  if (options === undefined) return PLAIN
  const o = toObject(options, 'options')
  const access = o.access === undefined ? 'read' : toOneOf(o.access, 'options.access', ACCESS)
  const grow = toGrow(o.grow)
  const wish = {
    access,
    number: ACCESS.indexOf(access),
    flags: LAZY | (toBoolean(o.create, 'options.create') ? CREATE : 0) | (grow ? GROW : 0),
    offset: o.offset === undefined ? 0 : toSize(o.offset, 'options.offset'),
    length: o.length === undefined ? 0 : toSize(o.length, 'options.length', 1),
    mode: toMode(o.mode),
    advice: o.advice === undefined ? undefined : toOneOf(o.advice, 'options.advice', ADVICE),
    populate: toBoolean(o.populate, 'options.populate'),
    lock: toBoolean(o.lock, 'options.lock'),
    hugePages: toBoolean(o.hugePages, 'options.hugePages'),
    // What grows reaches its end; a page may then still be lost, but not by asking for it.
    allowPastEof: toBoolean(o.allowPastEof, 'options.allowPastEof') || grow,
    name: o.name === undefined ? undefined : toText(o.name, 'options.name')
  }
  if (wish.offset + wish.length > Number.MAX_SAFE_INTEGER) {
    throw rangeError('options.length', `such that offset + length <= ${Number.MAX_SAFE_INTEGER}`,
      o.length)
  }
  wish.steps = wish.advice !== undefined || wish.populate || wish.lock || wish.hugePages
  return wish
}

function checkEnd (wish, size) {
  if (wish.allowPastEof || wish.offset + wish.length <= size) return
  const name = wish.offset > size || wish.length === 0 ? 'options.offset' : 'options.length'
  throw rangeError(name, `within the ${size} bytes of the file, unless allowPastEof or grow is set`,
    wish.offset > size || wish.length === 0 ? wish.offset : wish.length)
}

function finish (handle, wish, path) {
  const mapping = new Mapping(making, handle, wish.offset, wish.access, path)
  if (wish.offset === 0 && wish.length === 0) return mapping
  try {
    checkEnd(wish, mapping.fileSize)
  } catch (error) {
    mapping.close()
    throw error
  }
  return mapping
}

function steer (mapping, wish) {
  if (wish.hugePages) mapping.advise('hugepage')
  if (wish.advice !== undefined) mapping.advise(wish.advice)
}

function steps (mapping, wish) {
  if (!wish.steps) return mapping
  try {
    steer(mapping, wish)
    if (wish.populate) mapping.advise('populate-read')
    if (wish.lock) mapping.lock()
  } catch (error) {
    mapping.close()
    throw error
  }
  return mapping
}

function shownPath (path) {
  return typeof path === 'string' ? path : Buffer.from(path).toString()
}

function open (path, options) {
  const file = toPath(path)
  const wish = toOptions(options)
  const handle = binding.open(file, wish.number, wish.flags, wish.offset, wish.length, wish.mode)
  return steps(finish(handle, wish, shownPath(file)), wish)
}

async function openAsync (path, options) {
  const file = toPath(path)
  const wish = toOptions(options)
  const handle = await binding.openAsync(file, wish.number, wish.flags, wish.offset,
    wish.length, wish.mode)
  const mapping = finish(handle, wish, shownPath(file))
  if (!wish.steps) return mapping
  try {
    steer(mapping, wish)
    if (wish.populate || wish.lock) await mapping.prefetch()
    if (wish.lock) mapping.lock()
  } catch (error) {
    mapping.close()
    throw error
  }
  return mapping
}

function fromFd (fd, options) {
  const number = toFd(fd)
  const wish = toOptions(options)
  if (wish.flags & CREATE) throw valueError('options.create', 'left out with a descriptor', true)
  const handle = binding.fromFd(number, wish.number, wish.flags, wish.offset, wish.length,
    wish.mode, wish.name)
  return steps(finish(handle, wish, wish.name), wish)
}

// What descriptor() of another thread's mapping returned. Descriptors are the process's, so
// that it must still be open; that it is still the same file is checked.
function from (descriptor) {
  if (descriptor === null || typeof descriptor !== 'object') {
    throw typeError('descriptor', 'an object from Mapping.descriptor()', descriptor)
  }
  const fd = toFd(descriptor.fd, 'descriptor.fd')
  const length = toSize(descriptor.length, 'descriptor.length')
  const found = fs.fstatSync(fd, { bigint: true })
  const same = (name) => descriptor[name] === undefined || descriptor[name] === String(found[name])
  if (!same('dev') || !same('ino')) throw systemError(ESTALE, 'fstat', descriptor.path)
  return fromFd(fd, {
    access: descriptor.access,
    offset: descriptor.offset,
    ...(length > 0 ? { length } : {}),
    allowPastEof: true,
    ...(descriptor.path === undefined ? {} : { name: descriptor.path })
  })
}

function anonymous (length, options) {
  const bytes = toSize(length, 'length', 1)
  const wish = toObject(options, 'options')
  const name = wish.name === undefined ? undefined : toText(wish.name, 'options.name')
  const shared = toBoolean(wish.shared, 'options.shared', true)
  const seal = toBoolean(wish.seal, 'options.seal')
  const handle = binding.anonymous(name, bytes, seal)
  const mapping = new Mapping(making, handle, 0, 'write', name)
  if (shared) return mapping
  try {
    return fromFd(binding.fd(handle), { access: 'copy', ...(name === undefined ? {} : { name }) })
  } finally {
    mapping.close()
  }
}

function lazily (pathOrFd) {
  if (typeof pathOrFd === 'number') return binding.fromFd(toFd(pathOrFd), 0, LAZY, 0, 0, 0)
  return binding.open(toPath(pathOrFd, 'pathOrFd'), 0, LAZY, 0, 0, 0)
}

function cachestat (pathOrFd, range) {
  toObject(range, 'range')
  const handle = lazily(pathOrFd)
  try {
    const { offset, length } = toRange(range, binding.length(handle))
    return binding.residency(handle, offset, length, 0)
  } finally {
    binding.close(handle)
  }
}

module.exports = { anonymous, cachestat, from, fromFd, open, openAsync }
