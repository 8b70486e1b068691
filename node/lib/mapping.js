// SPDX-License-Identifier: MIT
// mapping.js - the class Mapping: a file, or a window of one, in memory.
'use strict'

const { constants: { MAX_LENGTH } } = require('node:buffer')
const fs = require('node:fs')
const { setImmediate: turn } = require('node:timers/promises')
const binding = require('./load.js')
const {
  closedError, rangeError, systemError, toBoolean, toFunction, toObject, toOneOf, toRange,
  toSignal, toSize, truncatedError, typeError, withCode
} = require('./validate.js')

const ADVICE = Object.keys(binding.advice)
const advices = new Map(Object.entries(binding.advice))
const DESTRUCTIVE = 4 // enum mmapfs_advice_kind
const DESTRUCTIVE_ON_COPY = 8
const READY = 1 // enum mmapfs_observe_flags
const MAY_DESTROY = 1 // enum mmapfs_advise_flags
const SYNC = 0 // enum mmapfs_sync_level
const EVICT_SYNC = 1 // enum mmapfs_evict_flags
const CHUNK = 32 * 1024 * 1024
const VIEWS_MAX = 64 // so many dead windows may be remembered before they are swept out
const EPERM = -1
const ESTALE = -116

// Nobody but this package makes one.
const making = Symbol('making')

const symbolDispose = Symbol.dispose ?? Symbol.for('nodejs.dispose')
const symbolAsyncDispose = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')

function checkLength (length) {
  // An unaligned window begins up to a page before its first byte.
  if (length > MAX_LENGTH - binding.constants.PAGESIZE) {
    throw rangeError('length', `<= ${MAX_LENGTH - binding.constants.PAGESIZE}, the longest ` +
      'Buffer here; use view(offset, length) for windows of a longer mapping', length)
  }
}

// The range as core takes it, where 0 is "to the end": nothing to do is null.
function toWork (range, whole) {
  const { offset, length } = toRange(range, whole)
  return length > 0 ? { offset, length } : null
}

class Mapping {
  #handle
  #offset
  #length
  #access
  #path
  #closed = false
  #buffer
  #views // of live windows, by place; made with the first

  constructor (token, handle, offset, access, path) {
    if (token !== making) {
      throw withCode(new TypeError('Illegal constructor: use open(), fromFd() or ' +
        'anonymous()'), 'ERR_ILLEGAL_CONSTRUCTOR')
    }
    this.#handle = handle
    this.#offset = offset
    this.#access = access
    this.#path = path
    this.#length = binding.length(handle)
  }

  #open () {
    if (this.#closed) throw closedError()
    return this.#handle
  }

  get length () { return this.#closed ? 0 : this.#length }
  get offset () { return this.#offset }
  get access () { return this.#access }
  get path () { return this.#path }
  get closed () { return this.#closed }
  get faults () { return binding.faults(this.#handle) }
  get fileSize () { return binding.fileSize(this.#open()) }

  // ---- bytes in place ----

  #window (offset, length) {
    const array = binding.window(this.#open(), offset, length)
    return Buffer.from(array, array.byteLength - length, length)
  }

  get buffer () {
    this.#open()
    if (this.#length === 0) return Buffer.alloc(0)
    checkLength(this.#length)
    // Empty: somebody has transferred it away.
    if (!this.#buffer?.length) this.#buffer = this.#window(0, this.#length)
    return this.#buffer
  }

  view (offset, length) {
    this.#open()
    offset = toSize(offset, 'offset')
    length = toSize(length, 'length', 1)
    toRange({ offset, length }, this.#length, 'view')
    checkLength(length)
    const key = `${offset}+${length}`
    const known = this.#views?.get(key)?.deref()
    if (known?.length) return known
    const view = this.#window(offset, length)
    this.#remember(key, view)
    return view
  }

  #remember (key, view) {
    this.#views ??= new Map()
    if (this.#views.size >= VIEWS_MAX) {
      for (const [old, ref] of this.#views) if (!ref.deref()) this.#views.delete(old)
    }
    if (this.#views.size < VIEWS_MAX) this.#views.set(key, new WeakRef(view))
  }

  typed (Ctor, range) {
    this.#open()
    if (typeof Ctor !== 'function') throw typeError('Ctor', 'a typed array class', Ctor)
    const { offset, length } = toRange(range, this.#length)
    const size = Ctor.BYTES_PER_ELEMENT ?? 1
    if (!Number.isInteger(size) || size < 1) throw typeError('Ctor', 'a typed array class', Ctor)
    const count = Math.floor(length / size)
    if (count === 0) return new Ctor(new ArrayBuffer(0))
    if ((this.#offset + offset) % size !== 0) {
      throw rangeError('range.offset', `such that its place in the file is a multiple of ${size}`,
        offset)
    }
    const bytes = this.view(offset, count * size)
    return new Ctor(bytes.buffer, bytes.byteOffset, count)
  }

  shared () {
    this.#open()
    if (this.#length === 0) return new SharedArrayBuffer(0)
    if (this.#offset % binding.constants.PAGESIZE !== 0) {
      throw rangeError('offset', 'a multiple of the page size for shared()', this.#offset)
    }
    checkLength(this.#length)
    return binding.sharedWindow(this.#handle, 0, this.#length)
  }

  // ---- bytes copied, which no truncated file can disturb ----

  #copy (how, bytes, name, offset) {
    this.#open()
    if (!ArrayBuffer.isView(bytes)) {
      throw typeError(name, 'an instance of Buffer, TypedArray or DataView', bytes)
    }
    return how(this.#handle, bytes, toSize(offset, 'offset'))
  }

  read (target, offset = 0) {
    return this.#copy(binding.read, target, 'target', offset)
  }

  write (source, offset = 0) {
    return this.#copy(binding.write, source, 'source', offset)
  }

  // ---- steering ----

  advise (advice, range, options) {
    const handle = this.#open()
    const { number, kinds } = advices.get(advice) ?? toOneOf(advice, 'advice', ADVICE)
    const unsafe = options !== undefined &&
      toBoolean(toObject(options, 'options').unsafe, 'options.unsafe')
    if (kinds & (DESTRUCTIVE | DESTRUCTIVE_ON_COPY) && !unsafe) {
      throw systemError(EPERM, 'madvise', this.#path)
    }
    const flags = unsafe ? MAY_DESTROY : 0
    if (range === undefined) return binding.advise(handle, number, flags)
    const { offset, length } = toRange(range, this.#length)
    binding.advise(handle, number, flags, offset, length)
  }

  // An empty range is one at the end, and stays empty there as core's "to the end".
  flush (range) {
    const handle = this.#open()
    if (range === undefined) return binding.flush(handle, SYNC)
    const { offset, length } = toRange(range, this.#length)
    binding.flush(handle, SYNC, offset, length)
  }

  async flushAsync (range) {
    const handle = this.#open()
    const { offset, length } = toRange(range, this.#length)
    await binding.flushAsync(handle, offset, length)
  }

  async prefetch (options) {
    this.#open()
    const wish = toObject(options, 'options')
    const { offset, length } = toRange(wish, this.#length, 'options')
    const signal = toSignal(wish.signal)
    const chunk = toSize(wish.chunk ?? CHUNK, 'options.chunk', 1)
    const onProgress = toFunction(wish.onProgress, 'options.onProgress')
    signal?.throwIfAborted()
    for (let done = 0; done < length;) {
      const piece = Math.min(chunk, length - done)
      await binding.warm(this.#open(), offset + done, piece)
      done += piece
      onProgress?.(done, length)
      signal?.throwIfAborted()
    }
  }

  async evict (range, options) {
    const handle = this.#open()
    const work = toWork(range, this.#length)
    const sync = toBoolean(toObject(options, 'options').sync, 'options.sync')
    if (!work) return { pages: 0, before: 0, after: 0, stayed: {}, exact: true }
    return binding.evict(handle, work.offset, work.length, sync ? EVICT_SYNC : 0)
  }

  lock (range) {
    const handle = this.#open()
    const work = toWork(range, this.#length)
    if (work) binding.lock(handle, work.offset, work.length, true)
  }

  unlock (range) {
    const handle = this.#open()
    const work = toWork(range, this.#length)
    if (work) binding.lock(handle, work.offset, work.length, false)
  }

  lockedRanges () {
    return pairs(binding.lockedRanges(this.#open()))
  }

  resize (length, options) {
    const handle = this.#open()
    length = toSize(length, 'length')
    const allocate = toBoolean(toObject(options, 'options').fallocate, 'options.fallocate', true)
    binding.resize(handle, length, !allocate)
    this.#forget()
    this.#length = binding.length(handle)
  }

  // ---- looking ----

  residency (range) {
    const handle = this.#open()
    const { offset, length } = toRange(range, this.#length)
    const ready = toBoolean(range?.ready, 'range.ready')
    // The end of the mapping is a page that is none: an empty range, not all of it.
    return binding.residency(handle, offset, length, ready ? READY : 0)
  }

  residentRanges (range) {
    const handle = this.#open()
    const work = toWork(range, this.#length)
    const ready = toBoolean(range?.ready, 'range.ready', true)
    if (!work) return []
    return pairs(binding.residentRanges(handle, work.offset, work.length, ready ? READY : 0))
  }

  async verify () {
    const size = this.fileSize
    if (this.faults.bus > 0 || size < this.#offset + this.#length) {
      throw truncatedError(this.#path)
    }
    try {
      await this.prefetch()
    } catch (error) {
      throw error.errno === ESTALE ? truncatedError(this.#path) : error
    }
    if (!this.#closed && this.fileSize < this.#offset + this.#length) {
      throw truncatedError(this.#path)
    }
  }

  // ---- for other threads ----

  descriptor () {
    const fd = binding.fd(this.#open())
    const { dev, ino } = fs.fstatSync(fd, { bigint: true })
    return {
      ...(this.#path === undefined ? {} : { path: this.#path }),
      fd,
      offset: this.#offset,
      length: this.#length,
      access: this.#access,
      dev: String(dev),
      ino: String(ino)
    }
  }

  // ---- the end ----

  #forget () {
    this.#buffer = undefined
    this.#views = undefined
  }

  close () {
    if (this.#closed) return
    this.#closed = true
    this.#forget()
    binding.close(this.#handle)
  }

  async closeAsync () {
    if (this.#closed) return
    this.#closed = true
    this.#forget()
    binding.detach(this.#handle)
    // The buffers' own hold on the memory ends with this turn: then it is the thread pool
    // that unmaps it.
    await turn()
    await binding.closeAsync(this.#handle)
  }
}

Object.defineProperty(Mapping.prototype, symbolDispose,
  { value: Mapping.prototype.close, writable: true, configurable: true })
Object.defineProperty(Mapping.prototype, symbolAsyncDispose,
  { value: Mapping.prototype.closeAsync, writable: true, configurable: true })
Object.defineProperty(Mapping.prototype, Symbol.toStringTag,
  { value: 'Mapping', configurable: true })

function pairs (flat) {
  const list = new Array(flat.length / 2)
  for (let i = 0; i < list.length; i++) {
    list[i] = { offset: flat[2 * i], length: flat[2 * i + 1] }
  }
  return list
}

module.exports = { ADVICE, Mapping, making, pairs }
