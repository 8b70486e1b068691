// SPDX-License-Identifier: MIT
// compat-mmap.test.js - what users of the package `mmap` rely on.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const test = require('node:test')
const mmap = require('../compat/mmap.js')
const { file, gc, scratch } = require('./helper.js')

const { PAGESIZE, PROT_READ, PROT_WRITE, MAP_SHARED } = mmap

test('a file by path grows, is synced, unmapped, and seen by the next', () => {
  const name = file('a')
  const first = mmap(PAGESIZE, PROT_READ | PROT_WRITE, MAP_SHARED, name)
  assert.equal(first.length, PAGESIZE)
  assert.equal(first[0], 0x61)
  assert.ok(first.subarray(1).every((byte) => byte === 0))
  first[1] = 0x62
  assert.equal(first.sync(), true)
  assert.equal(first.unmap(), true)
  assert.equal(first.length, 0)
  assert.equal(first.unmap(), false)

  const fd = fs.openSync(name, 'r+')
  const second = mmap(PAGESIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
  fs.closeSync(fd)
  assert.equal(second[1], 0x62)
  second[2] = 0x63
  assert.equal(second.sync(), true)

  const third = mmap(0, PROT_READ, MAP_SHARED, name)
  assert.equal(third.length, PAGESIZE)
  assert.equal(third.toString('latin1', 0, 3), 'abc')
  fs.truncateSync(name, 0)
  fs.truncateSync(name, PAGESIZE)
  const fourth = mmap(PAGESIZE, PROT_READ, MAP_SHARED, name)
  assert.equal(fourth[0], 0)
})

test('it is its own map, and has the constants', () => {
  assert.equal(mmap.map, mmap)
  assert.deepEqual([mmap.PROT_NONE, PROT_READ, PROT_WRITE, mmap.PROT_EXEC, MAP_SHARED,
    mmap.MAP_PRIVATE, mmap.MS_ASYNC, mmap.MS_INVALIDATE, mmap.MS_SYNC], [0, 1, 2, 4, 1, 2, 1, 2, 4])
  assert.throws(() => { mmap.PAGESIZE = 1 }, TypeError)
})

test('a missing file is made when it is to be written', () => {
  const name = path.join(scratch, 'made-by-mmap')
  const buffer = mmap(100, PROT_READ | PROT_WRITE, MAP_SHARED, name)
  buffer.write('x')
  assert.equal(buffer.sync(0, 1, mmap.MS_SYNC), true)
  assert.equal(fs.statSync(name).size, 100)
  assert.throws(() => mmap(100, PROT_READ, MAP_SHARED, path.join(scratch, 'nothing')), { code: 'ENOENT' })
})

test('errors have a positive errno', () => {
  const fd = fs.openSync(file('abc'))
  for (const args of [[0, PROT_READ, MAP_SHARED, fd], [PAGESIZE, PROT_READ, MAP_SHARED, fd, 1]]) {
    assert.throws(() => mmap(...args), {
      errno: 22, code: 'EINVAL', syscall: 'mmap', message: 'EINVAL, Invalid argument'
    })
  }
  fs.closeSync(fd)
})

test('a requested length beyond the file is kept, at an offset too', () => {
  const fd = fs.openSync(file(Buffer.alloc(100)))
  assert.equal(mmap(PAGESIZE, PROT_READ, MAP_SHARED, fd, PAGESIZE).length, PAGESIZE)
  assert.equal(mmap(3 * PAGESIZE, PROT_READ, MAP_SHARED, fd).length, 3 * PAGESIZE)
  assert.equal(mmap(10, PROT_READ, MAP_SHARED, new Number(fd)).length, 10)
  fs.closeSync(fd)
})

test('a file that is written anew while mapped survives collection', async () => {
  const name = file(Buffer.alloc(PAGESIZE, 1))
  const fd = fs.openSync(name)
  let buffer = mmap(PAGESIZE, PROT_READ, MAP_SHARED, fd)
  fs.closeSync(fd)
  fs.writeFileSync(name, Buffer.alloc(PAGESIZE, 2))
  assert.equal(buffer[0], 2)
  await gc()
  buffer = null
  await gc()
})
