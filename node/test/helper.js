// SPDX-License-Identifier: MIT
// helper.js - scratch files, child processes, garbage collection, for the tests.
'use strict'

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const v8 = require('node:v8')
const vm = require('node:vm')
const { setImmediate: turn } = require('node:timers/promises')

// Children run elsewhere.
if (process.env.MMAPFS_ADDON) process.env.MMAPFS_ADDON = path.resolve(process.env.MMAPFS_ADDON)

// A real disk: on tmpfs the page cache is the storage.
const scratch = fs.mkdtempSync(path.join(process.env.TMPDIR || '/var/tmp', 'mmapfs-node-'))
process.on('exit', () => fs.rmSync(scratch, { recursive: true, force: true }))

let count = 0
function file (content = Buffer.alloc(0), mode) {
  const name = path.join(scratch, `f${++count}`)
  fs.writeFileSync(name, content, mode === undefined ? {} : { mode })
  return name
}

// Bytes that tell where they are.
function pattern (length, seed = 0) {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) + seed) & 0xff
  return bytes
}

let collect
async function gc () {
  if (!collect) {
    v8.setFlagsFromString('--expose-gc')
    collect = vm.runInNewContext('gc')
  }
  // Finalizers come with the turns after a collection, and free what keeps others alive.
  for (let i = 0; i < 4; i++) {
    collect()
    await turn()
    await turn()
  }
}

// How many of this process's mappings are of files whose path has this in it.
function mappings (of = scratch) {
  return fs.readFileSync('/proc/self/maps', 'utf8').split('\n')
    .filter((line) => line.includes(of)).length
}

function allMappings () {
  return fs.readFileSync('/proc/self/maps', 'utf8').split('\n').length
}

const PRELUDE = `
'use strict'
const fs = require('node:fs')
const mmapfs = require(${JSON.stringify(path.join(__dirname, '..'))})
const mmap = require(${JSON.stringify(path.join(__dirname, '..', 'compat', 'mmap.js'))})
const io = require(${JSON.stringify(path.join(__dirname, '..', 'compat', 'mmap-io.js'))})
const PAGE = mmapfs.constants.PAGESIZE
const name = process.env.TEST_FILE
const outcome = (work) => {
  try {
    return work()
  } catch (error) {
    return { name: error.name, message: error.message, code: error.code, errno: error.errno, syscall: error.syscall }
  }
}
const say = (value) => fs.writeSync(1, JSON.stringify(value === undefined ? null : value,
  (_, v) => typeof v === 'bigint' ? String(v) : v) + '\\n')
`

// Run `code` in a process of its own; what it said last, once it has ended by itself.
function child (code, { content = pattern(20000), env = {} } = {}) {
  const name = file(content)
  const done = spawnSync(process.execPath, [...process.execArgv.filter((a) => a !== '--test'),
    '-e', PRELUDE + code],
  {
    cwd: scratch,
    env: { ...process.env, TEST_FILE: name, ...env, NODE_TEST_CONTEXT: '' },
    encoding: 'utf8',
    timeout: 120000
  })
  const said = done.stdout.trim().split('\n')
  return {
    signal: done.signal,
    status: done.status,
    stderr: done.stderr,
    said: said[0] === '' ? [] : said.map((line) => JSON.parse(line)),
    file: name
  }
}

function lives (code, options) {
  const done = child(code, options)
  assert.equal(done.signal, null, `ended by ${done.signal}\n${done.stderr}`)
  assert.equal(done.status, 0, done.stderr)
  return done.said.at(-1)
}

module.exports = { allMappings, child, file, gc, lives, mappings, pattern, scratch, turn }
