// SPDX-License-Identifier: MIT
// control.test.js - the same calls on a mounted mmapfs and on plain files.
'use strict'

const assert = require('node:assert/strict')
const { execFileSync, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const test = require('node:test')
const mmapfs = require('..')
const { pattern, scratch } = require('./helper.js')

const PAGE = mmapfs.constants.PAGESIZE
const build = process.env.MMAPFS_BUILD ?? path.join(__dirname, '..', '..', 'build')
const daemon = path.join(build, 'fs', 'mmapfs')
const source = path.join(scratch, 'source')
const mountpoint = path.join(scratch, 'mnt')

fs.mkdirSync(source)

function whyNot () {
  if (process.getuid() !== 0) return 'mounting needs root'
  if (!fs.existsSync('/dev/fuse')) return 'there is no /dev/fuse'
  if (!fs.existsSync(daemon)) return `${daemon} was not built`
  return undefined
}

// Unmounted before the scratch directory is removed, which was to be done first; also when
// a test that failed has left something open there.
function mount (at, ...options) {
  fs.mkdirSync(at)
  execFileSync(daemon, [...options, source, at], { stdio: 'ignore' })
  process.prependListener('exit', () => {
    if (spawnSync('umount', [at], { stdio: 'ignore' }).status !== 0) spawnSync('umount', ['-l', at])
  })
}

const reason = whyNot()
if (!reason) mount(mountpoint)

let count = 0
function place (directory, length = 64 * PAGE) {
  const name = `f${++count}`
  const fd = fs.openSync(path.join(source, name), 'w')
  fs.writeSync(fd, pattern(length))
  fs.fsyncSync(fd)
  fs.closeSync(fd)
  return path.join(directory, name)
}

// A populated mapping keeps what was read in from being evicted meanwhile.
function held (name) {
  const mapping = mmapfs.open(path.join(source, path.basename(name)))
  mapping.advise('populate-read')
  return mapping
}

for (const [where, directory, mounted] of [['plain', source, false], ['mounted', mountpoint, true]]) {
  const on = (what, work) => test(`${where}: ${what}`, { skip: mounted && reason }, work)

  on('stat tells what is in RAM', async () => {
    const name = place(directory)
    const mapping = held(name)
    const control = mmapfs.control(name)
    assert.equal(await control.isMounted(), mounted)
    const stat = await control.stat()
    assert.equal(stat.size, 64 * PAGE)
    assert.equal(stat.pages, 64)
    assert.equal(stat.pageSize, PAGE)
    assert.equal(stat.resident, 64)
    assert.equal(stat.locked, 0)
    assert.equal(stat.advice, 'normal')
    assert.equal(stat.confidence, 'exact')
    assert.equal(stat.dataPath !== undefined, mounted)
    control.close()
    mapping.close()
  })

  on('figures, ranges, the map and parts of them by name', async () => {
    const name = place(directory)
    const mapping = held(name)
    const control = mmapfs.control(name)
    assert.equal(await control.get('pages'), '64')
    assert.equal(await control.get('user.mmapfs.resident'), '64')
    assert.equal(await control.get(`resident@${PAGE}+${2 * PAGE}`), '2')
    assert.equal(await control.get('resident@4K'), '1')
    assert.equal(await control.get('ranges'), `0+${64 * PAGE}`)
    assert.equal(await control.get('map'), '@'.repeat(64))
    assert.equal(await control.get('locked'), '0')
    assert.equal(await control.get('version'), mmapfs.version)
    mapping.close()
    control.close()
  })

  on('evict empties and warm fills, when set has resolved', async () => {
    const name = place(directory)
    const control = mmapfs.control(name)
    await control.set('warm')
    assert.match(await control.get('warm'), new RegExp(`^done \\d+/${64 * PAGE}$`))
    await control.set('evict', 'sync')
    assert.match(await control.get('evict'), /^before=\d+ after=\d+/)
    await control.set('warm', '4K+8K')
    assert.match(await control.get('warm'), new RegExp(`^done \\d+/${2 * PAGE}$`))
    control.close()
  })

  on('lock, sync and advise act and read back', async () => {
    const name = place(directory)
    const control = mmapfs.control(name)
    await control.set('lock', 'on 4K+8K')
    assert.equal(await control.get('lock'), `${PAGE}+${2 * PAGE}`)
    assert.equal(await control.get('locked'), '2')
    await control.set('lock', 'off')
    assert.equal(await control.get('lock'), '')
    await control.set('sync', 'sync')
    await control.set('sync', 'async 0+4K')
    await control.set('advise', 'MADV_RANDOM')
    assert.equal(await control.get('advise'), 'random')
    await control.set('advise', 'normal')
    control.close()
  })

  on('errors are those of the attributes', async () => {
    const control = mmapfs.control(place(directory))
    for (const [work, code] of [
      [() => control.get('nothing'), 'ENODATA'],
      [() => control.get('toString'), 'ENODATA'],
      [() => control.get('resident@x'), 'EINVAL'],
      [() => control.set('nothing', 'x'), 'EOPNOTSUPP'],
      [() => control.set('resident', '5'), 'EOPNOTSUPP'],
      [() => control.set('sync', 'soon'), 'EINVAL'],
      [() => control.set('sync', 'sync x'), 'EINVAL'],
      [() => control.set('lock', 'maybe'), 'EINVAL'],
      [() => control.set('advise', 'wilneed'), 'EINVAL'],
      [() => control.set('advise', 'remove'), 'EPERM'],
      [() => control.set('warm', '1x'), 'EINVAL'],
      [() => control.get(5), 'ERR_INVALID_ARG_TYPE'],
      [() => control.get('a\0b'), 'ERR_INVALID_ARG_VALUE'],
      [() => control.set('warm', 5), 'ERR_INVALID_ARG_TYPE']
    ]) await assert.rejects(work, { code }, String(work))
    control.close()
    control.close()
    await assert.rejects(control.stat(), { code: 'ERR_CONTROL_CLOSED' })
  })

  on('a directory is the sum of its tree', async () => {
    const below = path.join(source, `tree-${where}`)
    fs.mkdirSync(path.join(below, 'deep'), { recursive: true })
    fs.writeFileSync(path.join(below, 'a'), pattern(3 * PAGE))
    fs.writeFileSync(path.join(below, 'deep', 'b'), pattern(PAGE + 1))
    fs.linkSync(path.join(below, 'a'), path.join(below, 'deep', 'c'))
    const control = mmapfs.control(path.join(directory, `tree-${where}`))
    const stat = await control.stat()
    assert.equal(stat.pages, 5)
    assert.equal(stat.files, 2)
    assert.equal(stat.unknownFiles, 0)
    await control.set('warm')
    control.close()
  })
}

test('a read-only descriptor of a read-only mount is controlled too', { skip: reason }, async () => {
  const readOnly = path.join(scratch, 'read-only')
  mount(readOnly, '-o', 'ro')
  const control = mmapfs.control(place(readOnly))
  await control.set('warm')
  assert.match(await control.get('warm'), /^done /)
  control.close()
})

test('what is no file is no control', () => {
  assert.throws(() => mmapfs.control(path.join(scratch, 'missing')), { code: 'ENOENT' })
  assert.throws(() => mmapfs.control(5), { code: 'ERR_INVALID_ARG_TYPE' })
})
