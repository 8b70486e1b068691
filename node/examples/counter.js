// SPDX-License-Identifier: MIT
// counter.js - workers count together in a mapped file, which still knows after the end.
//
// Example: node examples/counter.js /var/tmp/counter
'use strict'

const { Worker, isMainThread, workerData } = require('node:worker_threads')
const mmapfs = require('..')

const WORKERS = 4
const EACH = 100000

function count (descriptor) {
  const mapping = mmapfs.from(descriptor)
  const words = mapping.typed(Int32Array)
  for (let i = 0; i < EACH; i++) Atomics.add(words, 0, 1)
  mapping.close()
}

function ended (worker) {
  return new Promise((resolve, reject) => {
    worker.on('error', reject)
    worker.on('exit', resolve)
  })
}

async function main (path) {
  const mapping = mmapfs.open(path, { access: 'write', create: true, grow: true, length: 4 })
  const words = mapping.typed(Int32Array)
  const before = Atomics.load(words, 0)
  const workers = []
  for (let i = 0; i < WORKERS; i++) {
    // The descriptor is plain data; each worker maps the same file by it.
    workers.push(new Worker(__filename, { workerData: mapping.descriptor() }))
  }
  await Promise.all(workers.map(ended))
  await mapping.flushAsync()
  console.log(`${before} + ${WORKERS} x ${EACH} = ${Atomics.load(words, 0)}`)
  mapping.close()
}

if (!isMainThread) count(workerData)
else if (process.argv[2]) main(process.argv[2])
else {
  console.error('usage: node counter.js FILE')
  process.exitCode = 1
}
