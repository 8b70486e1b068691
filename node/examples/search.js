// SPDX-License-Identifier: MIT
// search.js - find a text in a file of any size, through windows, without copying it.
//
// Example: node examples/search.js /var/log/syslog error
'use strict'

const mmapfs = require('..')

const WINDOW = 256 * 1024 * 1024

// Each place of `text` in the mapping. Windows overlap, so that none is missed between two.
function * places (mapping, text) {
  for (let begin = 0; begin < mapping.length; begin += WINDOW) {
    const length = Math.min(WINDOW + text.length - 1, mapping.length - begin)
    const view = mapping.view(begin, length)
    let at = view.indexOf(text)
    while (at >= 0) {
      yield begin + at
      at = view.indexOf(text, at + 1)
    }
  }
}

function search (path, text) {
  // Somebody may truncate the file meanwhile: that shall be a message, not a SIGBUS.
  mmapfs.installFaultGuard()
  const mapping = mmapfs.open(path, { advice: 'sequential' })
  let count = 0
  for (const offset of places(mapping, Buffer.from(text))) {
    console.log(offset)
    count++
  }
  if (mapping.faults.bus > 0) console.error(`${path} became shorter while it was searched`)
  console.error(`${count} places in ${mapping.length} bytes`)
  mapping.close()
  return count
}

const [path, text] = process.argv.slice(2)
if (!path || !text) {
  console.error('usage: node search.js FILE TEXT')
  process.exitCode = 1
} else {
  process.exitCode = search(path, text) > 0 ? 0 : 1
}
