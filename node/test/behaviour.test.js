// SPDX-License-Identifier: MIT
// behaviour.test.js - what ends the processes of other packages: each in a process of its own.
'use strict'

const assert = require('node:assert/strict')
const test = require('node:test')
const { child, lives, pattern } = require('./helper.js')

// [what, code that says one value, what it must be: a value or a check]
const fails = (expected) => (said) => {
  for (const [key, value] of Object.entries(expected)) assert.deepEqual(said[key], value, JSON.stringify(said))
}
const intErr = (text) => fails({ message: text })

const onMmapIo = [
  ['size is a string', "io.map('foo', 1, 1, fd)", intErr('mmap: size (arg[0]) must be an integer')],
  ['size is digits', "io.map('100', 1, 1, fd)", intErr('mmap: size (arg[0]) must be an integer')],
  ['size is a bigint', 'io.map(100n, 1, 1, fd)', intErr('mmap: size (arg[0]) must be an integer')],
  ['protection is no number', "io.map(100, 'x', 1, fd)", intErr('mmap: protection_flags (arg[1]) must be an integer')],
  ['flags is no number', 'io.map(100, 1, {}, fd)', intErr('mmap: flags (arg[2]) must be an integer')],
  ['fd is no number', "io.map(100, 1, 1, 'x')", intErr('mmap: fd (arg[3]) must be an integer (a file descriptor)')],
  ['no arguments', 'io.map()', intErr('mmap: size (arg[0]) must be an integer')],
  ['size 0', 'io.map(0, 1, 1, fd)', fails({ message: 'mmap failed, 22', code: 'EINVAL', errno: -22, syscall: 'mmap' })],
  ['size NaN', 'io.map(NaN, 1, 1, fd)', fails({ message: 'mmap failed, 22' })],
  ['size -1', 'io.map(-1, 1, 1, fd)', fails({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' })],
  ['size 1.5', 'io.map(1.5, 1, 1, fd)', fails({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' })],
  ['offset 3 GiB', 'io.map(100, 1, 1, fd, 3 * 2 ** 30).length', 100],
  ['offset 1', 'io.map(100, 1, 1, fd, 1)', fails({ message: 'mmap failed, 22' })],
  ['offset -4096', 'io.map(100, 1, 1, fd, -4096)', fails({ message: 'mmap failed, 75', code: 'EOVERFLOW' })],
  ['offset is a string', "io.map(100, 1, 1, fd, '0')", fails({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' })],
  ['offset is null', 'io.map(100, 1, 1, fd, null)', fails({ name: 'TypeError' })],
  ['read beyond the end', 'const b = io.map(10 * PAGE, 1, 1, fd); [b[9 * PAGE], b.length]', [0, 40960]],
  ['map beyond the end', 'io.map(PAGE, 1, 1, fd, 20 * PAGE)[5]', 0],
  ['PROT_NONE', 'io.map(PAGE, 0, 1, fd)', fails({ message: 'mmap failed, 13', code: 'EACCES' })],
  ['PROT_EXEC alone', 'io.map(PAGE, 4, 1, fd)', fails({ message: 'mmap failed, 13' })],
  ['fd -1', 'io.map(PAGE, 1, 1, -1)', fails({ message: 'mmap failed, 9', code: 'EBADF' })],
  ['fd 9999', 'io.map(PAGE, 1, 1, 9999)', fails({ message: 'mmap failed, 9' })],
  ['fd closed', 'fs.closeSync(fd); io.map(PAGE, 1, 1, fd)', fails({ message: 'mmap failed, 9' })],
  ['fd of a directory', "io.map(PAGE, 1, 1, fs.openSync('/'))", fails({ message: 'mmap failed, 19', code: 'ENODEV' })],
  ['read-only fd, shared, to write', 'io.map(PAGE, 3, 1, fd)', fails({ message: 'mmap failed, 13', code: 'EACCES' })],
  ['read-only fd, private, to write', 'const b = io.map(PAGE, 3, 2, fd); b[0] = 77; [b[0], fs.readFileSync(name)[0]]', [77, 0]],
  ['flags 0', 'io.map(PAGE, 1, 0, fd)', fails({ message: 'mmap failed, 22' })],
  ['flags 3', 'io.map(PAGE, 1, 3, fd).length', 4096],
  ['MAP_FIXED', 'io.map(PAGE, 1, 1 | 16, fd)', fails({ message: 'mmap failed, 22' })],
  ['all flags', 'io.map(PAGE, 1, 0x7fffffff, fd)', fails({ message: 'mmap failed, 22' })],
  ['write to a read-only buffer', 'const b = io.map(PAGE, 1, 1, fd); b[0] = 77; [b[0], fs.readFileSync(name)[0]]', [77, 0]],
  ['write to a read-only buffer, fd for writing', "const b = io.map(PAGE, 1, 1, fs.openSync(name, 'r+')); b[0] = 77; [b[0], fs.readFileSync(name)[0]]", [77, 0]],
  ['truncated, then read', 'const b = io.map(3 * PAGE, 1, 1, fd); fs.truncateSync(name, 0); [b[0], b[2 * PAGE], b.indexOf(1)]', [0, 0, -1]],
  ['truncated, then written', "const b = io.map(3 * PAGE, 3, 1, fs.openSync(name, 'r+')); fs.truncateSync(name, 0); b.fill(1); [b[0], fs.statSync(name).size]", [1, 0]],
  ['bad advise leaks nothing', 'for (let i = 0; i < 50; i++) outcome(() => io.map(PAGE, 1, 1, fd, 0, 77)); const e = outcome(() => io.map(PAGE, 1, 1, fd, 0, 77)); [e.message, fs.readFileSync("/proc/self/maps", "utf8").includes(name)]', ['madvise() failed, 22', false]],
  ['advise with 1 argument', 'io.advise(io.map(PAGE, 1, 1, fd))', (said) => assert.match(said.message, /^advise\(\) takes 2 or 4 arguments: /)],
  ['advise with 3 arguments', 'io.advise(io.map(PAGE, 1, 1, fd), 0, 1)', (said) => assert.match(said.message, /^advise\(\) takes 2 or 4 arguments: /)],
  ['advise is no number', "io.advise(io.map(PAGE, 1, 1, fd), 'x')", fails({ message: 'advice(): (arg[1]) must be an integer' })],
  ['advise null', 'io.advise(null, 1)', fails({ message: 'advice(): buffer (arg[0]) must be a Buffer' })],
  ['incore of text', "io.incore('x')", fails({ message: 'advice(): buffer (arg[0]) must be a Buffer' })],
  ['advise {}', 'io.advise({}, 1)', fails({ name: 'TypeError' })],
  ['incore {}', 'io.incore({})', fails({ name: 'TypeError' })],
  ['sync {}', 'io.sync({})', fails({ name: 'TypeError' })],
  ['sync()', 'io.sync()', fails({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' })],
  ['a SharedArrayBuffer', 'io.incore(new Uint8Array(new SharedArrayBuffer(PAGE)))', fails({ message: 'mincore() failed, 22' })],
  ['a DataView', 'io.incore(new DataView(new ArrayBuffer(8)))', fails({ name: 'TypeError' })],
  ['a heap buffer keeps its bytes', 'const b = Buffer.alloc(1 << 20, 7); const e = outcome(() => io.advise(b, 4)); [e.message, e.code, b.every((x) => x === 7)]', ['madvise() failed, 22', 'EINVAL', true]],
  ['advise beyond the end', 'io.advise(io.map(PAGE, 1, 1, fd), 0, 3 * PAGE, 1)', fails({ name: 'RangeError', message: 'madvise() failed, 12', code: 'ENOMEM' })],
  ['advise before the beginning', 'io.advise(io.map(PAGE, 1, 1, fd), -PAGE, PAGE, 1)', fails({ message: 'madvise() failed, 12' })],
  ['advise from 10', 'io.advise(io.map(PAGE, 1, 1, fd).subarray(10), 1)', fails({ message: 'madvise() failed, 22' })],
  ['advise poison', 'io.advise(io.map(PAGE, 3, 2, fd), 100)', fails({ message: 'madvise() failed, 22' })],
  ['advise guard pages', 'io.advise(io.map(PAGE, 3, 2, fd), 102)', fails({ message: 'madvise() failed, 22' })],
  ['incore with 2 arguments', 'io.incore(io.map(PAGE, 1, 1, fd), 1)', fails({ message: 'incore() takes 1 argument: (buffer :Buffer) .' })],
  ['incore of part', 'const b = io.map(3 * PAGE, 1, 1, fd); b[0] + b[PAGE] + b[2 * PAGE]; io.incore(b.subarray(PAGE))', [0, 2]],
  ['incore of anonymous memory', 'const b = io.map(4 * PAGE, 3, 34, -1); b[0] = 1; io.incore(b)', [3, 1]],
  ['sync beyond the end', "io.sync(io.map(PAGE, 3, 1, fs.openSync(name, 'r+')), 0, 2 * PAGE)", fails({ name: 'RangeError', message: 'msync() failed, 12' })],
  ['sync unaligned', "io.sync(io.map(PAGE, 3, 1, fs.openSync(name, 'r+')), 5)", fails({ message: 'msync() failed, 22' })],
  ['sync of the rest', "io.sync(io.map(2 * PAGE, 3, 1, fs.openSync(name, 'r+')), PAGE)", null],
  ['structured clone', 'const b = io.map(PAGE, 1, 1, fd); outcome(() => structuredClone(b.buffer, { transfer: [b.buffer] })); typeof b.length', 'number'],
  ['moved by transfer()', 'const b = io.map(PAGE, 1, 1, fd); const m = b.buffer.transfer?.(); m ? [b.length, new Uint8Array(m)[1], outcome(() => io.incore(new Uint8Array(m))).message] : [0, 31, "mincore() failed, 22"]', [0, 31, 'mincore() failed, 22']],
  ['3 GiB of anonymous memory', 'const b = io.map(3 * 2 ** 30, 3, 33, -1); b[3 * 2 ** 30 - 1] = 5; [b.length, b[3 * 2 ** 30 - 1]]', [3 * 2 ** 30, 5]],
  ['MAP_POPULATE beyond the end', 'io.map(10 * PAGE, 1, 1 | io.MAP_POPULATE, fd)[0]', 0]
]

for (const [what, code, expected] of onMmapIo) {
  test(`mmap-io: ${what}`, () => {
    const said = lives(`const fd = fs.openSync(name); say(outcome(() => { ${code.replace(/;? ?([^;]*)$/, '; return $1')} }))`)
    if (typeof expected === 'function') expected(said)
    else assert.deepEqual(said, expected)
  })
}

test('mmap-io: 5 GiB and 4 GiB + 1 are that long or refused, never cut', () => {
  for (const size of [2 ** 32 + 1, 5 * 2 ** 30]) {
    const { said: [result, mapped] } = child(`const fd = fs.openSync(name)
say(outcome(() => io.map(${size}, 1, 1, fd).length)); say(fs.readFileSync('/proc/self/maps', 'utf8').includes(name))`)
    if (result === size) continue
    assert.equal(result.code, 'ERR_OUT_OF_RANGE')
    assert.equal(mapped, false)
  }
})

const onMmap = [
  ['3 arguments', 'mmap(PAGE, 1, 1)', fails({ message: 'mmap() takes 4 arguments: size, protection, flags, fd and offset.' })],
  ['size 0 by fd', 'mmap(0, 1, 1, fd)', fails({ errno: 22, code: 'EINVAL', syscall: 'mmap' })],
  ['offset 1', 'mmap(PAGE, 1, 1, fd, 1)', fails({ errno: 22, code: 'EINVAL' })],
  ['size -1', 'mmap(-1, 1, 1, fd)', fails({ name: 'RangeError' })],
  ['size is text', "mmap('x', 1, 1, fd)", fails({ name: 'TypeError' })],
  ['no flags', 'mmap(PAGE, 1, undefined, fd)', fails({ errno: 22 })],
  ['fd -1', 'mmap(PAGE, 1, 1, -1)', fails({ errno: 9, code: 'EBADF' })],
  ['a path that is none', "mmap(PAGE, 1, 1, '/nowhere/at/all')", fails({ code: 'ENOENT' })],
  ['a path that is an object', 'mmap(PAGE, 1, 1, {})', fails({ code: 'ERR_INVALID_ARG_TYPE' })],
  ['PROT_NONE', 'mmap(PAGE, 0, 1, fd)', fails({ errno: 13 })],
  ['write to a read-only buffer', 'const b = mmap(PAGE, 1, 1, fd); b[0] = 77; [b[0], fs.readFileSync(name)[0]]', [77, 0]],
  ['truncated', 'const b = mmap(PAGE, 1, 1, fd); fs.truncateSync(name, 0); b[0]', 0],
  ['beyond the end', 'mmap(10 * PAGE, 1, 1, fd)[9 * PAGE]', 0],
  ['after unmap', 'const b = mmap(PAGE, 1, 1, fd); const v = b.subarray(5); [b.unmap(), b.length, b[0] === undefined, v.length, b.unmap(), b.sync() === undefined]', [true, 0, true, 0, false, true]],
  ['sync of nonsense', "const b = mmap(PAGE, 1, 1, fd); ['x', NaN, -5, {}, null].map((v) => [b.sync(v), b.sync(0, v), b.sync(0, 1, v)].every((r) => r === undefined || typeof r === 'boolean'))", [true, true, true, true, true]],
  ['sync beyond the end', 'const b = mmap(PAGE, 1, 1, fd); [b.sync(PAGE) === undefined, b.sync(0, 9 * PAGE), b.sync(5)]', [true, true, false]]
]

for (const [what, code, expected] of onMmap) {
  test(`mmap: ${what}`, () => {
    const said = lives(`const fd = fs.openSync(name); say(outcome(() => { ${code.replace(/;? ?([^;]*)$/, '; return $1')} }))`)
    if (typeof expected === 'function') expected(said)
    else assert.deepEqual(said, expected)
  })
}

// ---- the main API ----

test('size: a string is a TypeError, a bigint is fine, nonsense a RangeError', () => {
  const said = lives(`say([
  outcome(() => mmapfs.open(name, { length: '100' })).code, mmapfs.open(name, { length: 100n }).length,
  ...[-1, 0, 1.5, NaN, 2 ** 64].map((length) => outcome(() => mmapfs.open(name, { length })).code),
  outcome(() => mmapfs.open(name, { offset: '0' })).code, outcome(() => mmapfs.open(name, { offset: null })).code,
  outcome(() => mmapfs.open(name, { offset: -4096 })).code])`)
  const range = 'ERR_OUT_OF_RANGE'
  const type = 'ERR_INVALID_ARG_TYPE'
  assert.deepEqual(said, [type, 100, range, range, range, range, range, type, type, range])
})

test('with the guard a truncated file reads as zeros, is counted, and told of', () => {
  for (const access of ['read', 'write', 'copy']) {
    const said = lives(`mmapfs.installFaultGuard()
const m = mmapfs.open(name, { access: '${access}' })
const b = m.buffer
fs.truncateSync(name, PAGE)
let sum = 0
for (let i = PAGE; i < b.length; i++) sum += b[i]
m.verify().then(() => say('verified'), (e) => say([sum, b.indexOf('no such text'), m.faults.bus, m.faults.write, e.code,
  outcome(() => m.flush())?.code ?? 'none', m.length, m.fileSize]))`)
    assert.deepEqual(said, [0, -1, 4, 0, 'ERR_FILE_TRUNCATED',
      access === 'write' ? 'ERR_FILE_TRUNCATED' : 'none', 20000, 4096])
  }
})

test('what was lost stays known after resize and close, and no flush says otherwise', () => {
  const said = lives(`mmapfs.installFaultGuard()
const m = mmapfs.open(name, { access: 'write' })
const b = m.buffer
fs.truncateSync(name, PAGE)
b[2 * PAGE] = 1
const codes = [outcome(() => m.flush()).code, outcome(() => m.flush({ offset: 0, length: 1 })).code]
m.resize(5 * PAGE)
codes.push(outcome(() => m.flush()).code, m.faults.bus)
m.flushAsync().then(() => say('flushed'), (e) => {
  const { path, message } = e
  m.close()
  say([...codes, e.code, path === name, message.includes(name), m.faults])
})`)
  const lost = 'ERR_FILE_TRUNCATED'
  assert.deepEqual(said, [lost, lost, lost, 1, lost, true, true, { bus: 1, write: 0 }])
})

test('sync of the compatible faces does not vouch for lost pages', () => {
  const said = lives(`const fd = fs.openSync(name, 'r+')
const shared = io.map(2 * PAGE, 3, 1, fd)
const own = io.map(2 * PAGE, 3, 2, fd)
const m = mmap(2 * PAGE, 3, 1, fd)
fs.truncateSync(name, 0)
for (const b of [shared, own, m]) b[PAGE] = 1
const { message, code, errno, syscall } = outcome(() => io.sync(shared, true))
say([message, code, errno, syscall, outcome(() => io.sync(own, true)) ?? null, m.sync()])`)
  assert.deepEqual(said, ['msync() failed, 5', 'EIO', -5, 'msync', null, false])
})

test('with the guard a store to a read-only mapping stays private', () => {
  const said = lives(`mmapfs.installFaultGuard({ readOnlyWrites: 'copy' })
const m = mmapfs.open(name, { offset: PAGE + 10 })
m.buffer[0] = 1; m.buffer[1] = 2; m.buffer[2 * PAGE] = 3
const n = mmapfs.fromFd(fs.openSync(name, 'r+'))
n.buffer[5] = 9
say([m.buffer[0], m.buffer[1], m.buffer[2 * PAGE], m.faults, n.buffer[5], n.faults,
  Buffer.compare(fs.readFileSync(name), Buffer.from(process.env.EXPECTED, 'base64'))])`,
  { env: { EXPECTED: pattern(20000).toString('base64') } })
  assert.deepEqual(said, [1, 2, 3, { bus: 0, write: 2 }, 9, { bus: 0, write: 1 }, 0])
})

test('a store to a lost page of a read-only mapping is survived too', () => {
  const said = lives(`mmapfs.installFaultGuard({ readOnlyWrites: 'copy' })
const m = mmapfs.open(name)
const b = m.buffer
fs.truncateSync(name, 0)
b[0] = 5; b[PAGE] = 6
say([b[0], b[PAGE], b[2 * PAGE], m.faults.bus, fs.statSync(name).size])`)
  assert.deepEqual(said, [5, 6, 0, 3, 0])
})

test('the guard is for our mappings: another fault still ends the process', () => {
  const done = child(`mmapfs.installFaultGuard({ readOnlyWrites: 'copy' })
process.kill(process.pid, 'SIGBUS')
setTimeout(() => say('alive'), 5000)`)
  assert.equal(done.signal, 'SIGBUS')
})

test('without the guard read and write survive a truncated file', () => {
  const said = lives(`const m = mmapfs.open(name, { access: 'write' })
const c = mmapfs.open(name, { access: 'copy' })
m.buffer; c.buffer
fs.truncateSync(name, 0)
say([m.read(Buffer.alloc(10)), m.write(Buffer.from('x')), c.read(Buffer.alloc(10)), c.write(Buffer.from('x')), fs.statSync(name).size])`)
  assert.deepEqual(said, [0, 0, 0, 0, 0])
})

test('control calls survive a truncated file', () => {
  const said = lives(`const m = mmapfs.open(name, { access: 'write' })
m.buffer[0] = 1
fs.truncateSync(name, 0)
const codes = [() => m.flush(), () => m.lock(), () => m.unlock(), () => m.residency(), () => m.residentRanges(),
  () => m.advise('willneed'), () => m.advise('populate-read'), () => m.advise('populate-write'),
  () => m.advise('cold'), () => m.advise('pageout')].map((f) => { const r = outcome(f); return r?.code ?? 'ok' })
m.evict().then(() => m.prefetch()).catch((e) => e).then(() => say(codes.length))`)
  assert.equal(said, 10)
})

test('WebAssembly traps still are, with the guard', () => {
  const said = lives(`mmapfs.installFaultGuard({ readOnlyWrites: 'copy' })
// (module (memory 1) (func (export "f") (param i32) (result i32) local.get 0 i32.load))
const bytes = Buffer.from('0061736d0100000001060160017f017f030201000503010001070501016600000a0901070020002802000b', 'hex')
const f = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.f
say([f(0), outcome(() => f(0x7fffff0)).name])`)
  assert.deepEqual(said, [0, 'RuntimeError'])
})

test('view keeps the memory alive without its mapping', () => {
  const said = lives(`require('node:v8').setFlagsFromString('--expose-gc')
const gc = require('node:vm').runInNewContext('gc')
let m = mmapfs.open(name)
const v = m.view(5, 10)
m = null
;(async () => {
  for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate) }
  say(v[0])
})()`)
  assert.equal(said, pattern(20000)[5])
})

test('an operation of Node under way survives close', () => {
  const said = lives(`const crypto = require('node:crypto')
let left = 0
const done = () => { if (--left === 0) say('all ended') }
for (let i = 0; i < 50; i++) {
  const m = mmapfs.open(name)
  left += 3
  fs.write(fs.openSync('/dev/null', 'w'), m.buffer, done)
  crypto.pbkdf2(m.buffer, 'salt', 10, 32, 'sha256', done)
  fs.read(fs.openSync(name), Buffer.from(mmapfs.open(name, { access: 'copy' }).buffer.buffer), 0, 100, 0, done)
  m.close()
}`, { content: pattern(1 << 20) })
  assert.equal(said, 'all ended')
})

test('transfer() of a buffer, then close, leaves the bytes to the new owner', () => {
  const said = lives(`const m = mmapfs.open(name)
const array = m.buffer.buffer
if (!array.transfer) { say([31, true]); process.exit() }
const moved = new Uint8Array(array.transfer())
m.close()
setImmediate(() => setImmediate(() => say([moved[1], fs.readFileSync('/proc/self/maps', 'utf8').includes(name)])))`)
  assert.deepEqual(said, [31, true])
})

test('process.exit() and a natural end with live mappings are clean', () => {
  for (const end of ['process.exit(0)', '', 'mmapfs.open(name).prefetch(); process.exit(0)']) {
    lives(`const m = mmapfs.open(name, { access: 'write' }); m.buffer[0] = 1; global.kept = [m, io.map(PAGE, 1, 1, fs.openSync(name)), mmap(PAGE, 1, 1, fs.openSync(name))]; say(1); ${end}`)
  }
})

const worker = (body, main = '') => `const { Worker, workerData } = require('node:worker_threads')
const body = process.env.PRELUDE + ${JSON.stringify(body)}
const w = new Worker(body, { eval: true, workerData: { name } })
${main || "w.on('error', (e) => say(String(e))); w.on('exit', (code) => say(code))"}`

function inWorker (body, main, options = {}) {
  const prelude = `const { parentPort, workerData } = require('node:worker_threads')
const fs = require('node:fs')
const name = workerData.name
const mmapfs = require(${JSON.stringify(require.resolve('..'))})
const io = require(${JSON.stringify(require.resolve('../compat/mmap-io.js'))})
`
  return lives(worker(body, main), { ...options, env: { PRELUDE: prelude } })
}

test('a worker loads it, maps, and ends', () => {
  assert.equal(inWorker(`const m = mmapfs.open(name); m.buffer; m.prefetch(); io.map(100, 1, 1, fs.openSync(name))
mmapfs.installFaultGuard()`), 0)
})

test('a worker that is terminated in the middle of work is cleaned up', () => {
  const said = inWorker(`const m = mmapfs.open(name); m.buffer
;(async () => { for (;;) { await m.evict(); await m.prefetch({ chunk: 4096 }) } })()
parentPort.postMessage('started')
setInterval(() => {}, 1000)`, `w.once('message', () => setTimeout(async () => {
  await w.terminate()
  say(fs.readFileSync('/proc/self/maps', 'utf8').includes(name))
}, 50))`, { content: pattern(1 << 20) })
  assert.equal(said, false)
})

test('the guard outlives the worker that installed it', () => {
  const said = inWorker('mmapfs.installFaultGuard()', `w.on('exit', () => {
  const m = mmapfs.open(name); const b = m.buffer
  fs.truncateSync(name, 0)
  say([b[0], m.faults.bus])
})`)
  assert.deepEqual(said, [0, 1])
})

test('descriptor and from share the bytes between threads', () => {
  const said = inWorker(`parentPort.once('message', (d) => {
  const m = mmapfs.from(d)
  Atomics.add(m.typed(Int32Array), 3, 5)
  m.close()
  parentPort.postMessage('done')
})`, `const m = mmapfs.open(name, { access: 'write' })
const words = m.typed(Int32Array, { length: 4000 })
Atomics.store(words, 3, 7)
w.postMessage(m.descriptor())
w.once('message', () => { say([Atomics.load(words, 3), fs.readFileSync(name).readInt32LE(12)]); w.terminate() })`)
  assert.deepEqual(said, [12, 12])
})

test('from refuses a descriptor that is another file by now', () => {
  const said = lives(`const m = mmapfs.open(name)
const d = m.descriptor()
m.close()
const fds = []
for (let i = 0; i < 40; i++) fds.push(fs.openSync(process.execPath))
say([outcome(() => mmapfs.from(d)).code, outcome(() => mmapfs.from({ ...d, fd: 9999 })).code,
  outcome(() => mmapfs.from({ ...d, fd: -1 })).code, outcome(() => mmapfs.from(null)).code])`)
  assert.deepEqual(said, ['ESTALE', 'EBADF', 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_TYPE'])
})

test('shared memory wakes a waiting worker, where this Node has it', (t) => {
  const { features } = require('..')
  if (!features.sharedArrayBuffer) return t.skip('no external SharedArrayBuffer in this Node')
  const said = inWorker(`parentPort.once('message', (shared) => {
  const words = new Int32Array(shared)
  parentPort.postMessage('waiting')
  const how = Atomics.wait(words, 0, 0)
  parentPort.postMessage([how, words[1]])
})`, `const m = mmapfs.open(name, { access: 'write' })
const shared = m.shared()
const words = new Int32Array(shared)
words[0] = 0
w.postMessage(shared)
w.once('message', () => {
  words[1] = 42
  Atomics.store(words, 0, 1)
  const wake = setInterval(() => Atomics.notify(words, 0), 5)
  w.once('message', (got) => { clearInterval(wake); m.close(); say([...got, fs.readFileSync(name).readInt32LE(4), words[1]]); w.terminate() })
})`)
  assert.ok(['ok', 'not-equal'].includes(said[0]))
  assert.deepEqual(said.slice(1), [42, 42, 42])
})

test('no arguments of the compatible faces do more than throw', () => {
  const said = lives(`const fd = fs.openSync(name, 'r+')
const b = io.map(2 * PAGE, 3, 2, fd)
const m = mmap(2 * PAGE, 3, 2, fd)
const dead = mmap(PAGE, 1, 1, fd); dead.unmap()
const junk = [undefined, null, true, -1, 0, 1, 1.5, 3, 34, PAGE, 2 ** 31, 2 ** 32 + 1, 2 ** 53, -(2 ** 31), NaN,
  Infinity, 5n, '', 'x', {}, [], Symbol('s'), () => {}, b, b.subarray(5), dead, Buffer.alloc(10), new ArrayBuffer(8),
  new DataView(new ArrayBuffer(8)), new Float64Array(2), new Uint8Array(new SharedArrayBuffer(PAGE)),
  Object.create(Buffer.prototype), new Proxy(b, {})]
let calls = 0
const quietly = (work) => {
  calls++
  try {
    work()
  } catch (error) {
    if (!(error instanceof Error)) throw error
  }
}
for (const a of junk) {
  quietly(() => io.incore(a)); quietly(() => io.sync(a)); quietly(() => mmap(a)); quietly(() => io.map(a))
  quietly(() => m.unmap.call(a, a)); quietly(() => m.sync(a, a, a))
  for (const c of junk) {
    quietly(() => io.advise(a, c)); quietly(() => io.advise(b, a, c, 1)); quietly(() => io.advise(b, 0, a, c))
    quietly(() => io.sync(b, a, c)); quietly(() => io.sync(a, c, 5, true, true)); quietly(() => io.sync(b, a, 1, c, c))
    quietly(() => m.sync(a, c)); quietly(() => m.sync(0, a, c))
    quietly(() => io.map(PAGE, a, c, fd)); quietly(() => io.map(PAGE, 1, 1, a, c)); quietly(() => io.map(a, 1, 1, fd, 0, c))
    quietly(() => mmap(PAGE, a, c, fd)); quietly(() => mmap(a, 1, 1, fd, c)); quietly(() => mmap(1, 1, 1, a, c))
  }
}
say(calls > 10000)`)
  assert.equal(said, true)
})

test('a lost page is survived on a thread of its own, in compiled code', () => {
  const said = inWorker(`mmapfs.installFaultGuard()
const m = mmapfs.open(name); const b = m.buffer
const sum = () => { let s = 0; for (let i = 0; i < b.length; i++) s += b[i]; return s }
for (let i = 0; i < 50; i++) sum()
fs.truncateSync(name, 0)
parentPort.postMessage([sum(), m.faults.bus])`, "w.once('message', say)")
  assert.deepEqual(said, [0, 5])
})
