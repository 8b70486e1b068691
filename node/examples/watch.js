// SPDX-License-Identifier: MIT
// watch.js - bring a file into RAM, then watch how much of it stays there.
//
// Example: node examples/watch.js model.gguf 10
'use strict'

const { setTimeout: delay } = require('node:timers/promises')
const mmapfs = require('..')

function show (found) {
  const { pages, resident, dirty, evicted } = found
  const share = resident === undefined || pages === 0
    ? 'unknown'
    : `${(100 * resident / pages).toFixed(1)} %`
  // What was not measured is not there, and is not shown as 0.
  const more = Object.entries({ dirty, evicted }).filter(([, value]) => value !== undefined)
    .map(([name, value]) => `, ${value} ${name}`).join('')
  console.log(`${new Date().toISOString()} ${share} of ${pages} pages resident${more}`)
}

async function main (path, seconds) {
  const mapping = mmapfs.open(path)
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  show(mapping.residency())
  try {
    await mapping.prefetch({
      signal: stop.signal,
      onProgress: (done, total) => process.stderr.write(`\r${done}/${total} bytes warm `)
    })
    process.stderr.write('\n')
    for (let i = 0; i < seconds; i++) {
      show(mapping.residency())
      await delay(1000, undefined, { signal: stop.signal })
    }
  } catch (error) {
    if (error.name !== 'AbortError') throw error
  } finally {
    show(mapping.residency())
    mapping.close()
  }
}

if (process.argv[2]) main(process.argv[2], Number(process.argv[3] ?? 10))
else {
  console.error('usage: node watch.js FILE [SECONDS]')
  process.exitCode = 1
}
