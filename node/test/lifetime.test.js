// SPDX-License-Identifier: MIT
// lifetime.test.js - mappings go away: when closed, when forgotten, and leave nothing.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const test = require('node:test')
const mmapfs = require('..')
const io = require('../compat/mmap-io.js')
const mmap = require('../compat/mmap.js')
const { allMappings, file, gc, mappings, pattern, turn } = require('./helper.js')

const PAGE = mmapfs.constants.PAGESIZE
const name = file(pattern(4 * PAGE))

function descriptors () {
  return fs.readdirSync('/proc/self/fd').length
}

// V8 maps and unmaps memory of its own while its heap grows and shrinks, which has no name;
// what has one is counted exactly.
async function leavesNothing (work) {
  await gc()
  const before = { named: mappings('/'), fds: descriptors(), all: allMappings() }
  await work()
  await gc()
  assert.equal(mappings('/'), before.named)
  assert.equal(mappings(name), 0)
  assert.equal(descriptors(), before.fds)
  assert.ok(allMappings() < before.all + 1000, `${before.all} mappings became ${allMappings()}`)
}

test('100,000 times open and close', () => leavesNothing(async () => {
  const fd = fs.openSync(name)
  for (let i = 0; i < 100000; i++) mmapfs.fromFd(fd).close()
  fs.closeSync(fd)
}))

test('100,000 times open, look at the buffer and close', () => leavesNothing(async () => {
  const fd = fs.openSync(name)
  for (let i = 0; i < 100000; i++) {
    const mapping = mmapfs.fromFd(fd)
    assert.equal(mapping.buffer[1], 31)
    mapping.close()
    if (i % 1000 === 0) await turn()
  }
  fs.closeSync(fd)
}))

test('100,000 times without ever letting the event loop turn', () => leavesNothing(async () => {
  const fd = fs.openSync(name)
  for (let i = 0; i < 100000; i++) {
    const mapping = mmapfs.fromFd(fd)
    mapping.view(0, 10)
    mapping.close()
  }
  fs.closeSync(fd)
}))

test('10,000 left to the garbage collector', () => leavesNothing(async () => {
  const fd = fs.openSync(name)
  for (let i = 0; i < 10000; i++) {
    const mapping = mmapfs.fromFd(fd)
    if (i % 2) assert.equal(mapping.buffer[1], 31)
    if (i % 100 === 0) await turn()
  }
  fs.closeSync(fd)
}))

test('10,000 of the compatible faces left to the garbage collector', () => leavesNothing(async () => {
  const fd = fs.openSync(name)
  for (let i = 0; i < 5000; i++) {
    io.map(PAGE, io.PROT_READ, io.MAP_SHARED, fd)
    mmap(PAGE, mmap.PROT_READ, mmap.MAP_SHARED, fd)
    if (i % 100 === 0) await turn()
  }
  fs.closeSync(fd)
}))

test('what fails leaves nothing', () => leavesNothing(async () => {
  for (let i = 0; i < 200; i++) {
    assert.throws(() => mmapfs.open(name, { length: 100 * PAGE }))
    assert.throws(() => mmapfs.open(name, { access: 'copy', advice: 'collapse', grow: true, length: 1 }))
    assert.throws(() => mmapfs.fromFd(9999))
    await assert.rejects(mmapfs.openAsync(name, { offset: 100 * PAGE }))
    const fd = fs.openSync(name)
    assert.throws(() => io.map(PAGE, 1, 1, fd, 0, 77))
    assert.throws(() => io.map(PAGE, 1, 1, fd, 1))
    fs.closeSync(fd)
  }
}))

test('resize and buffers by turns', () => leavesNothing(async () => {
  const own = file(pattern(PAGE))
  const mapping = mmapfs.open(own, { access: 'write' })
  for (let i = 1; i <= 500; i++) {
    mapping.buffer[0] = i & 0xff
    mapping.resize((1 + i % 7) * PAGE)
    assert.equal(mapping.buffer[0], i & 0xff)
    if (i % 50 === 0) await turn()
  }
  await mapping.closeAsync()
  assert.equal(mappings(own), 0)
}))

test('closeAsync has unmapped when it is done', async () => {
  const own = file(pattern(PAGE))
  const mapping = mmapfs.open(own)
  assert.equal(mapping.buffer.length, PAGE)
  assert.equal(mappings(own), 1)
  await mapping.closeAsync()
  assert.equal(mappings(own), 0)
})

test('a mapping that nobody looks at takes no addresses', () => {
  const own = file(pattern(PAGE))
  const mapping = mmapfs.open(own)
  mapping.residency()
  mapping.read(Buffer.alloc(10))
  assert.equal(mappings(own), 0)
  mapping.close()
})
