// SPDX-License-Identifier: MIT
// table.test.js - a Mapping of what a mounted region table shows: windows, shared memory.
'use strict'

const assert = require('node:assert/strict')
const { execFileSync, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const test = require('node:test')
const mmapfs = require('..')
const { lives, pattern, scratch } = require('./helper.js')

const MIB = 1 << 20
const AT = MIB + 4096
const build = process.env.MMAPFS_BUILD ?? path.join(__dirname, '..', '..', 'build')
const daemon = path.join(build, 'fs', 'mmapfs')
const mountpoint = path.join(scratch, 'table.mnt')
const source = path.join(scratch, 'table.big')
const bytes = pattern(4 * MIB)

function whyNot () {
  if (process.getuid() !== 0) return 'mounting needs root'
  if (!fs.existsSync('/dev/fuse')) return 'there is no /dev/fuse'
  if (!fs.existsSync(daemon)) return `${daemon} was not built`
  return undefined
}

function mount () {
  const table = path.join(scratch, 'table')
  fs.writeFileSync(source, bytes)
  fs.writeFileSync(table, `window ${source} ${AT} 64K write\nodd ${source} ${AT + 17} 5000 read\n` +
    'memory anon 0 1M write\n')
  fs.mkdirSync(mountpoint)
  execFileSync(daemon, [table, mountpoint], { stdio: 'ignore' })
  process.prependListener('exit', () => {
    if (spawnSync('umount', [mountpoint], { stdio: 'ignore' }).status !== 0) {
      spawnSync('umount', ['-l', mountpoint])
    }
  })
}

const skip = whyNot()
if (!skip) mount()

test('a mapping of a window has its bytes, and stores to it reach the source', { skip }, () => {
  const odd = mmapfs.open(path.join(mountpoint, 'odd'))
  assert.equal(odd.length, 5000)
  assert.equal(Buffer.compare(odd.buffer, bytes.subarray(AT + 17, AT + 5017)), 0)
  odd.close()

  const mapping = mmapfs.open(path.join(mountpoint, 'window'), { access: 'write' })
  assert.equal(mapping.length, 64 * 1024)
  mapping.write(Buffer.from('stored by node'), 40000)
  mapping.flush()
  mapping.close()
  const fd = fs.openSync(source)
  const found = Buffer.alloc(14)
  fs.readSync(fd, found, 0, 14, AT + 40000)
  fs.closeSync(fd)
  assert.equal(found.toString(), 'stored by node')
})

test('memory is shared by two mappings and by two processes', { skip }, () => {
  const name = path.join(mountpoint, 'memory')
  const one = mmapfs.open(name, { access: 'write' })
  const two = mmapfs.open(name, { access: 'write' })
  assert.equal(one.length, MIB)
  one.buffer.write('one', 70000)
  assert.equal(two.buffer.toString('latin1', 70000, 70003), 'one')

  const seen = lives(`
    const mapping = mmapfs.open(process.env.TEST_MEMORY, { access: 'write' })
    const found = mapping.buffer.toString('latin1', 70000, 70003)
    mapping.buffer.write('child', mapping.length - 5)
    mapping.close()
    say(found)
  `, { env: { TEST_MEMORY: name } })
  assert.equal(seen, 'one')
  assert.equal(two.buffer.toString('latin1', MIB - 5), 'child')
  one.close()
  two.close()
})

test('a mapping cannot make a window longer, nor memory longer than its row', { skip }, () => {
  for (const name of ['window', 'memory']) {
    const mapping = mmapfs.open(path.join(mountpoint, name), { access: 'write' })
    const before = mapping.length
    assert.throws(() => mapping.resize(2 * MIB), { code: 'EFBIG' })
    assert.equal(mapping.length, before)
    assert.equal(fs.statSync(path.join(mountpoint, name)).size, before)
    mapping.close()
  }
  assert.equal(fs.statSync(source).size, bytes.length)
})
