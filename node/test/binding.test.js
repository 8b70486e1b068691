// SPDX-License-Identifier: MIT
// binding.test.js - the C side by itself checks all that it is given.
'use strict'

const assert = require('node:assert/strict')
const path = require('node:path')
const test = require('node:test')
const { child, lives } = require('./helper.js')

test('every function of the binding survives any arguments', () => {
  const said = lives(`const binding = require(${JSON.stringify(path.join(__dirname, '..', 'lib', 'load.js'))})
const fd = fs.openSync(name, 'r+')
const handles = () => [binding.fromFd(fd, 1, 4, 0, 0, 0), binding.rawMap(PAGE, 3, 2, fd, 0)]
const closed = handles()[0]; binding.close(closed)
const junk = () => [undefined, null, true, -1, 0, 1, 5, 1.5, 2 ** 31, 2 ** 53, NaN, Infinity, 5n, '', 'stat', {}, [],
  Symbol('s'), () => {}, Buffer.alloc(10), new DataView(new ArrayBuffer(8)), new Uint8Array(new SharedArrayBuffer(8)),
  closed, ...handles()]
const pending = []
let calls = 0
const quietly = (work) => {
  calls++
  try {
    const value = work()
    if (value instanceof Promise) pending.push(value.catch(() => {}))
  } catch (error) {
    if (!(error instanceof Error)) throw error
  }
}
for (const [name, call] of Object.entries(binding)) {
  if (typeof call !== 'function' || name === 'anonymous') continue
  quietly(() => call())
  for (const a of junk()) {
    quietly(() => call(a))
    for (const b of junk()) {
      // A page, not gigabytes.
      if (name === 'resize' && typeof b === 'number' && b > 4096) continue
      quietly(() => call(a, b)); quietly(() => call(a, b, b)); quietly(() => call(a, 0, b, 0, b, 0)); quietly(() => call(a, b, 10, b, 3, b, b, b, b))
    }
  }
}
Promise.all(pending).then(() => say(calls > 10000))`)
  assert.equal(said, true)
})

test('the binary is found by name, and what is missing is said', () => {
  const done = child('', { env: { MMAPFS_ADDON: '/nowhere/mmapfs.node' } })
  assert.equal(done.status, 1)
  assert.match(done.stderr, /ERR_DLOPEN_FAILED/)
  assert.match(done.stderr, /npm run build --prefix/)
})

test('the package says what it is', () => {
  const about = require('../package.json')
  assert.deepEqual(about.os, ['linux'])
  assert.equal(about.engines.node, '>=18')
  assert.equal(about.dependencies, undefined)
  for (const script of ['preinstall', 'install', 'postinstall']) assert.equal(about.scripts[script], undefined)
  assert.equal(about.version, require('..').version)
})
