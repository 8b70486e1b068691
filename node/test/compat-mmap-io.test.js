// SPDX-License-Identifier: MIT
// compat-mmap-io.test.js - what users of mmap-io and its family rely on.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const test = require('node:test')
const io = require('../compat/mmap-io.js')
const { file, pattern } = require('./helper.js')

const { PAGESIZE, PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE } = io

test('constants are there and cannot be changed', () => {
  assert.deepEqual([PROT_READ, PROT_WRITE, io.PROT_EXEC, io.PROT_NONE, MAP_SHARED, MAP_PRIVATE,
    io.MAP_NONBLOCK, io.MAP_POPULATE, io.MADV_NORMAL, io.MADV_RANDOM, io.MADV_SEQUENTIAL,
    io.MADV_WILLNEED, io.MADV_DONTNEED, io.MAP_ANONYMOUS],
  [1, 2, 4, 0, 1, 2, 65536, 32768, 0, 1, 2, 3, 4, 32])
  for (const key of Object.keys(io).filter((key) => key === key.toUpperCase())) {
    const { writable, configurable, enumerable } = Object.getOwnPropertyDescriptor(io, key)
    assert.deepEqual([writable, configurable, enumerable], [false, false, true])
    assert.throws(() => { io[key] = 9 }, TypeError)
  }
  assert.equal(Object.getOwnPropertyDescriptor(io, 'sync').writable, true)
})

test('map with 6, 5 and 4 arguments, at offsets beyond the end too', () => {
  const fd = fs.openSync(file(pattern(5000)))
  assert.equal(io.map(5000, PROT_READ, MAP_SHARED, fd, 0, io.MADV_SEQUENTIAL).length, 5000)
  assert.equal(io.map(5000, PROT_READ, MAP_SHARED, fd, 0).length, 5000)
  const buffer = io.map(5000, PROT_READ, MAP_SHARED, fd)
  assert.equal(buffer.length, 5000)
  assert.equal(io.map(5000, PROT_READ, MAP_SHARED, fd, PAGESIZE).length, 5000)
  fs.closeSync(fd)
  assert.ok(Buffer.isBuffer(buffer))
  for (let i = buffer.length - 1; i >= 0; i--) assert.equal(buffer[i], pattern(5000)[i])
  assert.equal(buffer[5000], undefined)
  io.advise(buffer, io.MADV_NORMAL)
  io.advise(buffer, 0, 4096, io.MADV_RANDOM)
  assert.equal(io.advise(buffer, io.MADV_WILLNEED), undefined)
  assert.deepEqual(io.incore(buffer), [0, 2])
})

test('bad arguments throw', () => {
  const fd = fs.openSync(file(pattern(5000)))
  assert.throws(() => io.map('foo', PROT_READ, MAP_SHARED, fd))
  assert.throws(() => io.map(0, PROT_READ, MAP_SHARED, fd))
  assert.throws(() => io.map(5000, PROT_READ, MAP_SHARED, fd, PAGESIZE - 1))
  const buffer = io.map(5000, PROT_READ, MAP_SHARED, fd)
  assert.throws(() => io.advise(buffer, 'x'))
  assert.throws(() => io.advise(buffer, 77), { message: 'madvise() failed, 22', code: 'EINVAL', errno: -22, syscall: 'madvise' })
  fs.closeSync(fd)
})

test('a buffer that writes and one that reads are coherent in every byte', () => {
  const size = 47474
  const name = file(Buffer.alloc(size))
  const writing = fs.openSync(name, 'r+')
  const reading = fs.openSync(name)
  const out = io.map(size, PROT_READ | PROT_WRITE, MAP_SHARED, writing)
  const inn = io.map(size, PROT_READ, MAP_SHARED, reading)
  fs.closeSync(writing)
  fs.closeSync(reading)
  for (let i = 0; i < size; i++) out[i] = (i * 7) & 0xff
  for (let i = 0; i < size; i++) assert.equal(inn[i], (i * 7) & 0xff)
  assert.equal(io.sync(out), undefined)
  io.sync(out, 0, size)
  io.sync(out, 0, size, true, false)
  io.sync(out, true)
  io.sync(out, true, false)
  io.sync(out, PAGESIZE)
  assert.equal(fs.readFileSync(name)[size - 1], ((size - 1) * 7) & 0xff)
})
