// SPDX-License-Identifier: MIT
// examples.test.js - what newcomers run does what it says.
'use strict'

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const path = require('node:path')
const test = require('node:test')
const { file, pattern, scratch } = require('./helper.js')

function run (name, ...args) {
  const done = spawnSync(process.execPath, [path.join(__dirname, '..', 'examples', name), ...args],
    { encoding: 'utf8', timeout: 60000 })
  assert.equal(done.signal, null, done.stderr)
  return done
}

test('search finds every place', () => {
  const bytes = Buffer.alloc(100000, '.')
  for (const at of [0, 5, 4095, 99997]) bytes.write('xyz', at)
  const done = run('search.js', file(bytes), 'xyz')
  assert.deepEqual(done.stdout.trim().split('\n'), ['0', '5', '4095', '99997'])
  assert.equal(done.status, 0)
  assert.equal(run('search.js', file(bytes), 'nothing').status, 1)
})

test('counter counts across workers and runs', () => {
  const name = path.join(scratch, 'counter')
  assert.equal(run('counter.js', name).stdout, '0 + 4 x 100000 = 400000\n')
  assert.equal(run('counter.js', name).stdout, '400000 + 4 x 100000 = 800000\n')
})

test('watch warms and shows', () => {
  const done = run('watch.js', file(pattern(1 << 20)), '1')
  assert.match(done.stdout, /of 256 pages resident/)
  assert.equal(done.status, 0, done.stderr)
})
