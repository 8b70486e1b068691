// SPDX-License-Identifier: MIT
// control.js - the control attributes of a file, on a mounted mmapfs or anywhere else.
'use strict'

const fs = require('node:fs')
const binding = require('./load.js')
const { plainDirectory, plainFile } = require('./plain.js')
const { toPath, toText, typeError, withCode } = require('./validate.js')
const { setTimeout: delay } = require('node:timers/promises')

const { O_RDONLY, O_NONBLOCK, O_NOCTTY } = fs.constants
const POLL_MS = 20
const BUSY = /^(queued|running) /
const PREFIX = 'user.mmapfs.'

// A Control that was forgotten does not keep its descriptor.
const forgotten = new FinalizationRegistry((fd) => fs.close(fd, () => {}))

// "key=value" lines; numbers become numbers, what is not known is left out.
function parseStat (text) {
  const found = {}
  for (const line of text.split('\n')) {
    const at = line.indexOf('=')
    const value = line.slice(at + 1)
    const key = line.slice(0, at).replace(/_(\w)/g, (_, letter) => letter.toUpperCase())
    // Only a figure is left out; that the confidence is unknown is known.
    if (at <= 0 || (value === 'unknown' && key !== 'confidence')) continue
    found[key] = /^\d+$/.test(value) ? Number(value) : value
  }
  return found
}

function shortName (name) {
  const text = toText(name, 'name')
  return text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text
}

// On a mount: the daemon does it. Long work goes on there after set has returned there, so
// here it is waited for.
class Mounted {
  constructor (fd) { this.fd = fd }

  // Lists may end with a newline there; what is asked for is the last line, not what ends it.
  async get (name) { return (await binding.controlGet(this.fd, name)).replace(/\n$/, '') }

  async set (name, value) {
    await binding.controlSet(this.fd, name, value)
    if (name !== 'warm' && name !== 'evict') return
    let state = await this.get(name)
    while (BUSY.test(state)) {
      await delay(POLL_MS)
      state = await this.get(name)
    }
    const failed = /^failed \S+ ([A-Z0-9]+)/.exec(state)
    if (failed) throw withCode(new Error(`${name}: ${state}`), failed[1])
  }

  close () {}
}

async function actor (fd, path) {
  try {
    await binding.controlGet(fd, 'version')
    return new Mounted(fd)
  } catch (error) {
    if (error.code !== 'EOPNOTSUPP') throw error
  }
  return fs.fstatSync(fd).isDirectory() ? plainDirectory(path) : plainFile(fd, path)
}

class Control {
  #fd
  #path
  #actor

  constructor (path) {
    this.#path = toPath(path)
    const file = typeof this.#path === 'string' ? this.#path : Buffer.from(this.#path)
    // Without O_NONBLOCK a FIFO would wait here for its other end.
    this.#fd = fs.openSync(file, O_RDONLY | O_NONBLOCK | O_NOCTTY)
    forgotten.register(this, this.#fd, this)
  }

  get path () { return this.#path }
  get closed () { return this.#fd === -1 }

  // Found out once, at the first call.
  #act () {
    if (this.#fd === -1) {
      return Promise.reject(withCode(new Error('The control is closed'), 'ERR_CONTROL_CLOSED'))
    }
    this.#actor ??= actor(this.#fd, this.#path)
    return this.#actor
  }

  async isMounted () { return (await this.#act()) instanceof Mounted }

  async get (name) {
    const short = shortName(name)
    return (await this.#act()).get(short)
  }

  async set (name, value = '') {
    const short = shortName(name)
    if (typeof value !== 'string') throw typeError('value', 'of type string', value)
    await (await this.#act()).set(short, value)
  }

  async stat () { return parseStat(await this.get('stat')) }

  close () {
    if (this.#fd === -1) return
    forgotten.unregister(this)
    fs.closeSync(this.#fd)
    this.#fd = -1
    this.#actor?.then((acting) => acting.close(), () => {})
  }
}

Object.defineProperty(Control.prototype, Symbol.dispose ?? Symbol.for('nodejs.dispose'),
  { value: Control.prototype.close, writable: true, configurable: true })

function control (path) {
  return new Control(path)
}

module.exports = { Control, control, parseStat }
