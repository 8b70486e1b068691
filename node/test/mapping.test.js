// SPDX-License-Identifier: MIT
// mapping.test.js - the main API: what each call does, and what it must not.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const test = require('node:test')
const mmapfs = require('..')
const { file, pattern, scratch, turn } = require('./helper.js')

const PAGE = mmapfs.constants.PAGESIZE

function code (expected) {
  return (error) => {
    assert.equal(error.code, expected, error.stack)
    return true
  }
}

// ---- open ----

test('open shows the bytes of the file by string, bytes and URL', () => {
  const bytes = pattern(3 * PAGE + 17)
  const name = file(bytes)
  for (const how of [name, Buffer.from(name), pathToFileURL(name)]) {
    const mapping = mmapfs.open(how)
    assert.equal(mapping.length, bytes.length)
    assert.equal(mapping.offset, 0)
    assert.equal(mapping.access, 'read')
    assert.equal(mapping.fileSize, bytes.length)
    assert.equal(mapping.path, name)
    assert.equal(Buffer.compare(mapping.buffer, bytes), 0)
    assert.equal(mapping.buffer, mapping.buffer)
    mapping.close()
  }
})

test('any offset and length is a window of just these bytes', () => {
  const bytes = pattern(4 * PAGE)
  const name = file(bytes)
  for (const [offset, length] of [[0, 1], [1, 1], [PAGE - 1, 2], [PAGE, PAGE], [5, 3 * PAGE],
    [4 * PAGE - 1, 1], [123n, 456n]]) {
    const mapping = mmapfs.open(name, { offset, length })
    const expected = bytes.subarray(Number(offset), Number(offset) + Number(length))
    assert.equal(Buffer.compare(mapping.buffer, expected), 0)
    assert.equal(mapping.offset, Number(offset))
    mapping.close()
  }
  const rest = mmapfs.open(name, { offset: 100 })
  assert.equal(rest.length, bytes.length - 100)
  assert.equal(rest.buffer[0], bytes[100])
  rest.close()
})

test('openAsync and fromFd show the same', async () => {
  const bytes = pattern(PAGE + 1)
  const name = file(bytes)
  const a = await mmapfs.openAsync(name, { populate: true })
  const fd = fs.openSync(name)
  const b = mmapfs.fromFd(fd)
  fs.closeSync(fd)
  assert.equal(Buffer.compare(a.buffer, bytes), 0)
  assert.equal(Buffer.compare(b.buffer, bytes), 0)
  await a.closeAsync()
  assert.equal(b.length, bytes.length)
  b.close()
})

// What the kernel says of this process's mapping of `name`.
function vmFlags (name) {
  const lines = fs.readFileSync('/proc/self/smaps', 'utf8').split('\n')
  const at = lines.findIndex((line) => line.endsWith(name))
  return lines.slice(at).find((line) => line.startsWith('VmFlags:')).split(' ').slice(1)
}

test('open does what the options say before it returns, by each way', async () => {
  const huge = fs.existsSync('/sys/kernel/mm/transparent_hugepage')
  for (const how of ['open', 'openAsync', 'fromFd']) {
    const name = file(pattern(4 * PAGE))
    const fd = fs.openSync(name)
    const mapping = await mmapfs[how](how === 'fromFd' ? fd : name,
      { advice: 'random', populate: true, lock: true, hugePages: huge })
    fs.closeSync(fd)
    assert.deepEqual(mapping.lockedRanges(), [{ offset: 0, length: 4 * PAGE }], how)
    assert.equal(mapping.residency().resident, 4)
    const flags = vmFlags(name)
    assert.ok(flags.includes('rr') && flags.includes('lo'), `${how}: ${flags}`)
    assert.equal(flags.includes('hg'), huge)
    mapping.close()
  }
  for (const [options, expected] of [[{ advice: 'quickly' }, 'ERR_INVALID_ARG_VALUE'],
    [{ lock: 1 }, 'ERR_INVALID_ARG_TYPE'], [{ hugePages: 'yes' }, 'ERR_INVALID_ARG_TYPE'],
    [{ advice: 'remove' }, 'EPERM']]) {
    assert.throws(() => mmapfs.open(file(pattern(10)), options), code(expected))
  }
})

test('features and constants are there and cannot be changed', () => {
  const { features, constants } = mmapfs
  assert.equal(typeof features.cachestat, 'boolean')
  assert.equal(features.externalBuffers, true)
  assert.equal(typeof features.sharedArrayBuffer, 'boolean')
  assert.equal(features.maxLength, require('node:buffer').constants.MAX_LENGTH)
  assert.deepEqual([constants.PROT_READ, constants.MAP_SHARED, constants.MS_SYNC,
    constants.MADV_COLLAPSE, constants.MCL_ONFAULT], [1, 1, 4, 25, 4])
  assert.throws(() => { constants.PROT_READ = 9 }, TypeError)
  assert.throws(() => { features.cachestat = 9 }, TypeError)
})

test('an empty file is an empty mapping on which everything works', async () => {
  const mapping = mmapfs.open(file())
  assert.equal(mapping.length, 0)
  assert.equal(mapping.buffer.length, 0)
  assert.equal(mapping.typed(Uint32Array).length, 0)
  assert.equal(mapping.read(Buffer.alloc(4)), 0)
  assert.equal(mapping.residency().pages, 0)
  assert.deepEqual(mapping.residentRanges(), [])
  mapping.advise('random')
  mapping.flush()
  mapping.lock()
  mapping.unlock()
  await mapping.prefetch()
  await mapping.flushAsync()
  await mapping.verify()
  assert.equal((await mapping.evict()).pages, 0)
  mapping.close()
})

test('create and grow make the file, and a store reaches it', () => {
  const name = path.join(scratch, 'created')
  const mapping = mmapfs.open(name, {
    access: 'write', create: true, mode: 0o600, grow: 'fallocate', length: 2 * PAGE
  })
  assert.equal(fs.statSync(name).mode & 0o777, 0o600)
  assert.equal(fs.statSync(name).size, 2 * PAGE)
  assert.ok(fs.statSync(name).blocks > 0)
  mapping.buffer.write('hello', PAGE)
  mapping.flush()
  mapping.close()
  assert.equal(fs.readFileSync(name).toString('latin1', PAGE, PAGE + 5), 'hello')
})

test('copy shows stores to itself only', () => {
  const name = file(pattern(PAGE))
  const mapping = mmapfs.open(name, { access: 'copy' })
  const before = mapping.buffer[7]
  mapping.buffer[7] = before ^ 0xff
  assert.equal(mapping.buffer[7], before ^ 0xff)
  const out = Buffer.alloc(1)
  mapping.read(out, 7)
  assert.equal(out[0], before ^ 0xff)
  assert.equal(fs.readFileSync(name)[7], before)
  mapping.close()
})

test('a window beyond the end is refused unless allowed or grown', () => {
  const name = file(pattern(100))
  assert.throws(() => mmapfs.open(name, { length: 101 }), code('ERR_OUT_OF_RANGE'))
  assert.throws(() => mmapfs.open(name, { offset: 101 }), code('ERR_OUT_OF_RANGE'))
  assert.throws(() => mmapfs.open(name, { offset: 50, length: 51 }), code('ERR_OUT_OF_RANGE'))
  const end = mmapfs.open(name, { offset: 100 })
  assert.equal(end.length, 0)
  end.close()
  const beyond = mmapfs.open(name, { length: PAGE, allowPastEof: true })
  assert.equal(beyond.length, PAGE)
  assert.equal(beyond.buffer[99], pattern(100)[99])
  assert.equal(beyond.buffer[100], 0)
  beyond.close()
  assert.equal(fs.statSync(name).size, 100)
})

test('errors have code, errno, syscall and path', () => {
  const name = path.join(scratch, 'missing')
  assert.throws(() => mmapfs.open(name), {
    code: 'ENOENT',
    errno: -2,
    syscall: 'open',
    path: name,
    message: `ENOENT: no such file or directory, open '${name}'`
  })
  assert.rejects(mmapfs.openAsync(name), { code: 'ENOENT', errno: -2, path: name })
  assert.throws(() => mmapfs.open(scratch), { code: 'EISDIR' })
  const fd = fs.openSync(scratch)
  assert.throws(() => mmapfs.fromFd(fd), { code: 'ENODEV', errno: -19, syscall: 'mmap' })
  fs.closeSync(fd)
  assert.throws(() => mmapfs.fromFd(9999), { code: 'EBADF', errno: -9, syscall: 'mmap' })
  const readOnly = fs.openSync(file(pattern(10)))
  assert.throws(() => mmapfs.fromFd(readOnly, { access: 'write' }), { code: 'EACCES' })
  fs.closeSync(readOnly)
})

// ---- views ----

test('view is a window, the same one while it lives', () => {
  const bytes = pattern(8 * PAGE)
  const mapping = mmapfs.open(file(bytes), { offset: 3 })
  const a = mapping.view(5, 100)
  assert.equal(Buffer.compare(a, bytes.subarray(8, 108)), 0)
  assert.equal(mapping.view(5n, 100), a)
  assert.notEqual(mapping.view(6, 100), a)
  for (const [offset, length] of [[0, 0], [-1, 5], [0, mapping.length + 1], [mapping.length, 1],
    [1.5, 1], [0, NaN]]) {
    assert.throws(() => mapping.view(offset, length), code('ERR_OUT_OF_RANGE'))
  }
  mapping.close()
  assert.equal(a.length, 0)
})

test('a file beyond 4 GiB is mapped whole and seen through windows', () => {
  const name = file()
  const far = 6 * 2 ** 30
  fs.truncateSync(name, far + PAGE)
  const fd = fs.openSync(name, 'r+')
  fs.writeSync(fd, 'far away', far)
  fs.closeSync(fd)
  const mapping = mmapfs.open(name)
  assert.equal(mapping.length, far + PAGE)
  assert.equal(mapping.view(far, 8).toString(), 'far away')
  assert.equal(mapping.view(BigInt(far), 8n).toString(), 'far away')
  const out = Buffer.alloc(8)
  assert.equal(mapping.read(out, far), 8)
  assert.equal(out.toString(), 'far away')
  if (mapping.length > mmapfs.features.maxLength) {
    assert.throws(() => mapping.buffer, code('ERR_OUT_OF_RANGE'))
  } else {
    assert.equal(mapping.buffer.length, mapping.length)
    assert.equal(mapping.buffer.toString('latin1', far, far + 8), 'far away')
  }
  mapping.close()
  const window = mmapfs.open(name, { offset: far, length: 8 })
  assert.equal(window.buffer.toString(), 'far away')
  window.close()
})

test('typed arrays lie in place, aligned as the file is', () => {
  const name = file(Buffer.from(new Float64Array([1, 2, 3, 4]).buffer))
  const mapping = mmapfs.open(name)
  assert.deepEqual([...mapping.typed(Float64Array)], [1, 2, 3, 4])
  assert.deepEqual([...mapping.typed(Float64Array, { offset: 8, length: 17 })], [2, 3])
  assert.throws(() => mapping.typed(Float64Array, { offset: 4 }), code('ERR_OUT_OF_RANGE'))
  assert.throws(() => mapping.typed('Float64Array'), code('ERR_INVALID_ARG_TYPE'))
  assert.equal(mapping.typed(DataView).getFloat64(8, true), 2)
  mapping.close()
  const shifted = mmapfs.open(name, { offset: 8 })
  assert.deepEqual([...shifted.typed(Float64Array)], [2, 3, 4])
  shifted.close()
})

test('shared is a SharedArrayBuffer where this Node has it', (t) => {
  const name = file(pattern(PAGE))
  const mapping = mmapfs.open(name, { access: 'write' })
  if (!mmapfs.features.sharedArrayBuffer) {
    assert.throws(() => mapping.shared(), code('ERR_FEATURE_UNAVAILABLE_ON_PLATFORM'))
    mapping.close()
    return
  }
  const shared = mapping.shared()
  assert.ok(shared instanceof SharedArrayBuffer)
  assert.equal(shared.byteLength, PAGE)
  Atomics.store(new Int32Array(shared), 0, 0x01020304)
  assert.equal(fs.readFileSync(name).readInt32LE(0), 0x01020304)
  mapping.close()
  // Nothing can take it away.
  assert.equal(new Int32Array(shared)[0], 0x01020304)
})

// ---- copying ----

test('read and write copy up to the end, whatever the file does', () => {
  const name = file(pattern(100))
  const mapping = mmapfs.open(name, { access: 'write' })
  const out = Buffer.alloc(60)
  assert.equal(mapping.read(out, 70), 30)
  assert.equal(Buffer.compare(out.subarray(0, 30), pattern(100).subarray(70)), 0)
  assert.equal(mapping.read(out, 100), 0)
  assert.equal(mapping.read(out, 2 ** 40), 0)
  assert.equal(mapping.write(Buffer.from('abc'), 98), 2)
  assert.equal(fs.readFileSync(name, 'latin1').slice(98), 'ab')
  assert.equal(mapping.write(new Uint16Array([0x4241]), 0), 2)
  assert.equal(fs.readFileSync(name, 'latin1').slice(0, 2), 'AB')
  fs.truncateSync(name, 10)
  assert.equal(mapping.read(out, 5), 5)
  assert.equal(mapping.read(out, 20), 0)
  assert.equal(mapping.fileSize, 10)
  for (const bad of [undefined, null, 'abc', {}, [], 5, new ArrayBuffer(4)]) {
    assert.throws(() => mapping.read(bad), code('ERR_INVALID_ARG_TYPE'))
    assert.throws(() => mapping.write(bad), code('ERR_INVALID_ARG_TYPE'))
  }
  mapping.close()
  const readOnly = mmapfs.open(name)
  assert.throws(() => readOnly.write(Buffer.from('x')), { code: 'EACCES', syscall: 'pwrite' })
  readOnly.close()
})

// ---- steering ----

test('every word of advice is known, and destructive ones need unsafe', () => {
  const name = file(pattern(4 * PAGE))
  const mapping = mmapfs.open(name, { access: 'write' })
  for (const word of ['normal', 'random', 'sequential', 'willneed', 'cold', 'pageout',
    'populate-read', 'populate-write', 'dontdump', 'dodump', 'dontfork', 'dofork']) {
    mapping.advise(word)
    mapping.advise(word, { offset: 1, length: 10 })
  }
  for (const word of ['dontneed', 'dontneed-locked', 'free', 'remove']) {
    assert.throws(() => mapping.advise(word), { code: 'EPERM', syscall: 'madvise' })
    assert.throws(() => mapping.advise(word, undefined, {}), { code: 'EPERM' })
  }
  assert.equal(Buffer.compare(fs.readFileSync(name), pattern(4 * PAGE)), 0)
  mapping.advise('dontneed', undefined, { unsafe: true })
  assert.equal(Buffer.compare(fs.readFileSync(name), pattern(4 * PAGE)), 0)
  mapping.advise('remove', { offset: PAGE, length: PAGE }, { unsafe: true })
  assert.equal(fs.readFileSync(name)[PAGE + 1], 0)
  assert.throws(() => mapping.advise('wilneed'), code('ERR_INVALID_ARG_VALUE'))
  assert.throws(() => mapping.advise(3), code('ERR_INVALID_ARG_TYPE'))
  assert.throws(() => mapping.advise('toString'), code('ERR_INVALID_ARG_VALUE'))
  assert.throws(() => mapping.advise('normal', { offset: 5 * PAGE }), code('ERR_OUT_OF_RANGE'))
  assert.throws(() => mapping.advise('free', undefined, { unsafe: true }), { code: 'EINVAL' })
  mapping.close()
})

test('residency and residentRanges say what is in RAM', () => {
  const mapping = mmapfs.open(file(pattern(8 * PAGE + 5)))
  mapping.advise('populate-read')
  const found = mapping.residency()
  assert.equal(found.pages, 9)
  assert.equal(found.resident, 9)
  assert.equal(found.pageSize, PAGE)
  assert.equal(mapping.residency({ offset: PAGE, length: 1 }).pages, 1)
  assert.equal(mapping.residency({ ready: true }).confidence, 'exact')
  assert.deepEqual(mapping.residentRanges(), [{ offset: 0, length: 8 * PAGE + 5 }])
  assert.equal(mmapfs.cachestat(mapping.path).resident, 9)
  assert.equal(mmapfs.cachestat(mapping.descriptor().fd, { length: 2 * PAGE }).pages, 2)
  mapping.close()
})

test('evict empties, prefetch fills, and says how far', async () => {
  const name = file(pattern(64 * PAGE))
  fs.fsyncSync(fs.openSync(name, 'r+'))
  const mapping = mmapfs.open(name)
  const evicted = await mapping.evict(undefined, { sync: true })
  assert.equal(evicted.pages, 64)
  assert.equal(evicted.after, Object.values(evicted.stayed).reduce((a, b) => a + b, 0))
  const told = []
  await mapping.prefetch({ chunk: 16 * PAGE, onProgress: (done, total) => told.push([done, total]) })
  assert.deepEqual(told, [16, 32, 48, 64].map((n) => [n * PAGE, 64 * PAGE]))
  mapping.advise('populate-read')
  assert.equal(mapping.residency().resident, 64)
  mapping.close()
})

test('prefetch stops when it is told to', async () => {
  const mapping = mmapfs.open(file(pattern(64 * PAGE)))
  const abort = new AbortController()
  let calls = 0
  await assert.rejects(mapping.prefetch({
    chunk: PAGE,
    signal: abort.signal,
    onProgress: () => { if (++calls === 3) abort.abort() }
  }), { name: 'AbortError' })
  assert.equal(calls, 3)
  await assert.rejects(mapping.prefetch({ signal: AbortSignal.abort(new Error('no')) }),
    { message: 'no' })
  await assert.rejects(mapping.prefetch({ signal: 5 }), code('ERR_INVALID_ARG_TYPE'))
  await assert.rejects(mapping.prefetch({ onProgress: 5 }), code('ERR_INVALID_ARG_TYPE'))
  await assert.rejects(mapping.prefetch({ chunk: 0 }), code('ERR_OUT_OF_RANGE'))
  mapping.close()
})

test('lock keeps ranges and unlock gives them back', async () => {
  const mapping = mmapfs.open(file(pattern(8 * PAGE)))
  mapping.lock({ offset: PAGE, length: 2 * PAGE })
  assert.deepEqual(mapping.lockedRanges(), [{ offset: PAGE, length: 2 * PAGE }])
  const evicted = await mapping.evict()
  assert.ok(evicted.after >= 2)
  mapping.unlock({ offset: 2 * PAGE, length: PAGE })
  assert.deepEqual(mapping.lockedRanges(), [{ offset: PAGE, length: PAGE }])
  mapping.unlock()
  assert.deepEqual(mapping.lockedRanges(), [])
  mapping.close()
})

test('flush and flushAsync take ranges', async () => {
  const name = file(pattern(4 * PAGE))
  const mapping = mmapfs.open(name, { access: 'write' })
  mapping.buffer.fill(1)
  // Left out where the kernel cannot say, never 0. How many it still is, the kernel decides.
  assert.equal(typeof mapping.residency().dirty, mmapfs.features.cachestat ? 'number' : 'undefined')
  mapping.flush({ offset: 5, length: 10 })
  mapping.flush({ offset: 4 * PAGE })
  mapping.flush()
  if (mmapfs.features.cachestat) assert.equal(mapping.residency().dirty, 0)
  await mapping.flushAsync({ offset: PAGE })
  assert.equal(mapping.residency().writeback, 0)
  assert.throws(() => mapping.flush({ length: 4 * PAGE + 1 }), code('ERR_OUT_OF_RANGE'))
  assert.throws(() => mapping.flush(5), code('ERR_INVALID_ARG_TYPE'))
  mapping.close()
})

// ---- resize ----

test('resize follows the file and empties old buffers', () => {
  const name = file(pattern(PAGE))
  const mapping = mmapfs.open(name, { access: 'write' })
  const old = mapping.buffer
  mapping.resize(3 * PAGE)
  assert.equal(old.length, 0)
  assert.equal(mapping.length, 3 * PAGE)
  assert.equal(fs.statSync(name).size, 3 * PAGE)
  assert.equal(Buffer.compare(mapping.buffer.subarray(0, PAGE), pattern(PAGE)), 0)
  mapping.buffer[3 * PAGE - 1] = 9
  assert.equal(fs.readFileSync(name)[3 * PAGE - 1], 9)
  mapping.resize(10)
  assert.equal(fs.statSync(name).size, 10)
  assert.equal(mapping.buffer.length, 10)
  mapping.resize(2 ** 20, { fallocate: false })
  assert.equal(fs.statSync(name).size, 2 ** 20)
  assert.ok(fs.statSync(name).blocks * 512 < 2 ** 19)
  assert.equal(mapping.buffer.length, 2 ** 20)
  mapping.resize(0)
  assert.equal(mapping.buffer.length, 0)
  assert.equal(fs.statSync(name).size, 0)
  mapping.close()
})

test('resize is refused for readers, while locked, and for nonsense', () => {
  const name = file(pattern(2 * PAGE))
  const reader = mmapfs.open(name)
  assert.throws(() => reader.resize(PAGE), { code: 'EACCES' })
  reader.close()
  // Its descriptor could, but its stores are to stay its own.
  const fd = fs.openSync(name, 'r+')
  const copy = mmapfs.fromFd(fd, { access: 'copy' })
  copy.buffer[0] = 77
  assert.throws(() => copy.resize(PAGE), { code: 'EACCES' })
  assert.equal(copy.buffer[0], 77)
  assert.notEqual(fs.readFileSync(name)[0], 77)
  copy.close()
  fs.closeSync(fd)
  const mapping = mmapfs.open(name, { access: 'write' })
  mapping.lock({ length: PAGE })
  const buffer = mapping.buffer
  assert.throws(() => mapping.resize(PAGE), { code: 'EBUSY' })
  assert.equal(buffer.length, 2 * PAGE)
  mapping.unlock()
  for (const bad of [-1, 1.5, NaN, Infinity, 2 ** 53, -1n, 2n ** 64n]) {
    assert.throws(() => mapping.resize(bad), code('ERR_OUT_OF_RANGE'))
  }
  assert.throws(() => mapping.resize('5'), code('ERR_INVALID_ARG_TYPE'))
  assert.throws(() => mapping.resize(2 ** 52), (error) => ['EFBIG', 'ENOSPC'].includes(error.code))
  assert.equal(mapping.length, 2 * PAGE)
  assert.equal(fs.statSync(name).size, 2 * PAGE)
  mapping.close()
})

test('what needs the mapping for itself says EBUSY while work is under way', async () => {
  const mapping = mmapfs.open(file(pattern(256 * PAGE)), { access: 'write' })
  const pending = mapping.prefetch()
  assert.throws(() => mapping.lock(), { code: 'EBUSY' })
  assert.throws(() => mapping.resize(PAGE), { code: 'EBUSY' })
  await pending
  mapping.resize(PAGE)
  mapping.close()
})

// ---- verify ----

test('verify finds a truncated file', async () => {
  const name = file(pattern(4 * PAGE))
  const mapping = mmapfs.open(name)
  await mapping.verify()
  fs.truncateSync(name, PAGE)
  await assert.rejects(mapping.verify(), { code: 'ERR_FILE_TRUNCATED', path: name })
  mapping.close()
})

// ---- anonymous ----

test('anonymous memory is shared, sealed or private', () => {
  const mapping = mmapfs.anonymous(3 * PAGE, { name: 'fresh' })
  mapping.buffer[5] = 1
  const again = mmapfs.from(mapping.descriptor())
  assert.equal(again.buffer[5], 1)
  again.close()
  mapping.resize(4 * PAGE)
  mapping.close()
  const sealed = mmapfs.anonymous(PAGE, { seal: true })
  sealed.buffer[0] = 1
  assert.throws(() => fs.ftruncateSync(sealed.descriptor().fd, 0), { code: 'EPERM' })
  assert.throws(() => sealed.resize(2 * PAGE), { code: 'EPERM' })
  sealed.close()
  const own = mmapfs.anonymous(PAGE, { shared: false })
  assert.equal(own.access, 'copy')
  own.buffer[0] = 1
  own.close()
  for (const bad of [0, -1, 1.5, 2n ** 64n]) {
    assert.throws(() => mmapfs.anonymous(bad), code('ERR_OUT_OF_RANGE'))
  }
  for (const bad of [undefined, null, '5', {}]) {
    assert.throws(() => mmapfs.anonymous(bad), code('ERR_INVALID_ARG_TYPE'))
  }
})

// ---- the end ----

test('after close every call says so and nothing is left in the buffers', async () => {
  const mapping = mmapfs.open(file(pattern(2 * PAGE)), { access: 'write' })
  const { buffer } = mapping
  const view = mapping.view(5, 10)
  const words = mapping.typed(Uint32Array)
  mapping.close()
  mapping.close()
  await mapping.closeAsync()
  assert.equal(mapping.closed, true)
  assert.equal(mapping.length, 0)
  assert.deepEqual([buffer.length, view.length, words.length], [0, 0, 0])
  assert.equal(buffer[0], undefined)
  for (const call of [
    () => mapping.buffer, () => mapping.fileSize, () => mapping.view(0, 1),
    () => mapping.typed(Uint8Array), () => mapping.shared(), () => mapping.read(Buffer.alloc(1)),
    () => mapping.write(Buffer.alloc(1)), () => mapping.advise('normal'), () => mapping.flush(),
    () => mapping.residency(), () => mapping.residentRanges(), () => mapping.lock(),
    () => mapping.unlock(), () => mapping.lockedRanges(), () => mapping.resize(1),
    () => mapping.descriptor()
  ]) assert.throws(call, code('ERR_MAPPING_CLOSED'))
  for (const call of [
    () => mapping.flushAsync(), () => mapping.prefetch(), () => mapping.evict(),
    () => mapping.verify()
  ]) await assert.rejects(call, code('ERR_MAPPING_CLOSED'))
  assert.deepEqual(mapping.faults, { bus: 0, write: 0 })
})

test('close during work lets it end', async () => {
  const name = file(pattern(512 * PAGE))
  const mapping = mmapfs.open(name, { access: 'write' })
  const { buffer } = mapping
  buffer.fill(3)
  const work = [mapping.flushAsync(), mapping.evict(), mapping.prefetch({ chunk: PAGE }).catch((e) => e.code)]
  mapping.close()
  assert.equal(buffer.length, 0)
  const ends = await Promise.all(work)
  assert.equal(ends[2], 'ERR_MAPPING_CLOSED')
  await turn()
  assert.equal(fs.readFileSync(name)[100], 3)
})

test('dispose closes', async () => {
  const dispose = Symbol.dispose ?? Symbol.for('nodejs.dispose')
  const asyncDispose = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')
  const name = file(pattern(10))
  const a = mmapfs.open(name)
  a[dispose]()
  assert.equal(a.closed, true)
  const b = mmapfs.open(name)
  await b[asyncDispose]()
  assert.equal(b.closed, true)
})

// ---- arguments ----

test('no argument of any call does more than throw', async () => {
  const name = file(pattern(100))
  const junk = [undefined, null, true, false, 0, -1, 1.5, NaN, Infinity, -Infinity, 2 ** 53, 2 ** 64,
    -1n, 2n ** 70n, '', 'x', 'a\0b', Symbol('s'), {}, [], [1], () => {}, new Date(), /x/,
    new Map(), Buffer.alloc(0), Buffer.from('a\0b'), new Uint8Array(3), new ArrayBuffer(8),
    new SharedArrayBuffer(8), new DataView(new ArrayBuffer(2)), new Proxy({}, {}),
    Object.create(null), { offset: -1 }, { length: 0 }, { offset: 'x' }, { length: {} },
    { access: 'x' }, { access: 5 }, { get offset () { throw new Error('getter') } },
    { valueOf () { return 5 } }, Object.create(mmapfs.Mapping.prototype), new URL('http://x/')]
  const quietly = async (work) => {
    try {
      const value = await work()
      if (value instanceof mmapfs.Mapping) value.close()
    } catch (error) {
      assert.ok(error instanceof Error, String(error))
    }
  }
  const mapping = mmapfs.open(name, { access: 'write', offset: 1 })
  const methods = ['view', 'typed', 'read', 'write', 'advise', 'flush', 'flushAsync', 'prefetch',
    'evict', 'residency', 'residentRanges', 'lock', 'unlock', 'resize', 'verify', 'descriptor']
  const functions = ['open', 'openAsync', 'fromFd', 'from', 'anonymous', 'cachestat', 'control']
  for (const a of junk) {
    for (const b of junk) {
      for (const method of methods) await quietly(() => mapping[method](a, b, a))
      for (const call of functions) {
        if (call === 'anonymous' && typeof a === 'number' && a > 1) continue
        await quietly(async () => {
          const made = await mmapfs[call](a, b)
          if (made instanceof mmapfs.Control) made.close()
          return made
        })
      }
      await quietly(() => mmapfs.open(name, { access: 'copy', offset: a, length: b }))
    }
    for (const method of methods) await quietly(() => mmapfs.Mapping.prototype[method].call(a, 1, 1))
    await quietly(() => mmapfs.installFaultGuard(a === undefined ? null : a))
  }
  await quietly(() => new mmapfs.Mapping(Symbol('making'), {}))
  mapping.close()
})

test('import has the same names', async () => {
  const esm = await import('../index.mjs')
  for (const key of Object.keys(mmapfs)) assert.equal(esm[key], mmapfs[key], key)
  assert.equal(esm.default, mmapfs)
  const io = await import('../compat/mmap-io.mjs')
  assert.equal(typeof io.map, 'function')
  assert.equal(io.PROT_READ, 1)
  const mmap = await import('../compat/mmap.mjs')
  assert.equal(mmap.map, mmap.default)
})
