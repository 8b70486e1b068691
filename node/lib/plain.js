// SPDX-License-Identifier: MIT
// plain.js - the control attributes of files that are not on a mounted mmapfs, acted on here.
'use strict'

const fs = require('node:fs')
const binding = require('./load.js')
const { cachestat, fromFd } = require('./open.js')
const { pairs } = require('./mapping.js')
const { systemError } = require('./validate.js')

const EPERM = -1
const EINVAL = -22
const ENODATA = -61
const EOPNOTSUPP = -95
const LAZY = 4 // enum mmapfs_map_flags
const READY = 1 // enum mmapfs_observe_flags
const STATE = 1 // enum mmapfs_advice_kind
const DESTRUCTIVE = 4
const LEVELS = ['sync', 'async', 'invalidate'] // by enum mmapfs_sync_level
const FIGURES = ['resident', 'occupied', 'dirty', 'writeback', 'evicted']
const RANGES_MAX = 65536 // characters of a list, as on a mount
const CUT_LINE_MAX = 26 // what it keeps free for its last line
const CELLS = 64
const RAMP = '.:-=+*#%@'

function words (value) {
  return value.split(/[ \t\n]+/).filter((word) => word !== '')
}

function rangeOf (list, at, path) {
  if (list.length > at + 1) throw systemError(EINVAL, 'setxattr', path)
  return binding.parseRange(list[at] ?? '')
}

function listed (ranges) {
  let text = ''
  for (const { offset, length } of ranges) {
    const line = `${text ? '\n' : ''}${offset}+${length}`
    if (text.length + line.length > RANGES_MAX - CUT_LINE_MAX) return `${text}\n... ${offset}`
    text += line
  }
  return text
}

function cell (resident, length) {
  if (!resident || !length) return RAMP[0]
  if (resident >= length) return RAMP[RAMP.length - 1]
  return RAMP[1 + Math.floor(resident / length * (RAMP.length - 2))]
}

function drawn (ranges, begin, end) {
  const edge = (i) => begin + Math.floor((end - begin) * i / CELLS)
  const cells = new Array(CELLS).fill(0)
  for (const { offset, length } of ranges) {
    for (let i = 0; i < CELLS; i++) {
      const from = Math.max(offset, edge(i))
      const to = Math.min(offset + length, edge(i + 1))
      if (from < to) cells[i] += to - from
    }
  }
  return cells.map((resident, i) => cell(resident, edge(i + 1) - edge(i))).join('')
}

// The lines of stat, in the order that a mount has them.
function statText (found) {
  const lines = [`size=${found.size}`, `pages=${found.pages}`, `page_size=${found.pageSize}`]
  for (const name of FIGURES) lines.push(`${name}=${found[name] ?? 'unknown'}`)
  lines.push(`locked=${found.locked}`)
  for (const name of ['files', 'unknown_files', 'advice', 'method', 'confidence', 'reason']) {
    if (found[name] !== undefined) lines.push(`${name}=${found[name]}`)
  }
  if (found.dirtyIsUpperBound) lines.push('upper_bound=dirty')
  if (found.changed) lines.push('changed=1')
  return lines.join('\n')
}

// One file. Locks and advice last as long as the Control does: they are of its mapping.
class PlainFile {
  constructor (fd, path) {
    this.fd = fd
    this.path = typeof path === 'string' ? path : Buffer.from(path).toString()
    this.advice = 'normal'
    this.warmed = 'idle 0/0'
    this.evicted = 'idle'
    this.lasting = undefined
    this.page = binding.constants.PAGESIZE
  }

  // What is looked at is the file as it is now, so each time anew.
  now (work) {
    const handle = binding.fromFd(this.fd, 0, LAZY, 0, 0, 0, this.path)
    try {
      return work(handle, binding.length(handle))
    } finally {
      binding.close(handle)
    }
  }

  // What lasts needs one mapping that does; anew when the file has another length, unless
  // that would lose locks.
  last () {
    const size = fs.fstatSync(this.fd).size
    const held = this.lasting
    if (held && (held.length === size || held.lockedRanges().length > 0)) return held
    held?.close()
    this.lasting = fromFd(this.fd, { name: this.path })
    if (this.lasting.length > 0 && this.advice !== 'normal') this.lasting.advise(this.advice)
    return this.lasting
  }

  locked () {
    return this.lasting ? this.lasting.lockedRanges() : []
  }

  lockedPages ({ offset, length }) {
    const begin = Math.floor(offset / this.page) * this.page
    const end = length ? Math.ceil((offset + length) / this.page) * this.page : Infinity
    let bytes = 0
    for (const run of this.locked()) {
      bytes += Math.max(0, Math.min(run.offset + run.length, end) - Math.max(run.offset, begin))
    }
    return Math.ceil(bytes / this.page)
  }

  stat (range) {
    return this.now((handle, size) => {
      const found = binding.residency(handle, range.offset, range.length, READY)
      return {
        ...found,
        size,
        locked: this.lockedPages(range),
        advice: this.advice,
        method: found.source
      }
    })
  }

  figure (name, range) {
    const value = this.stat(range)[name]
    if (value === undefined) throw systemError(ENODATA, 'getxattr', this.path)
    return String(value)
  }

  ranges (range) {
    return this.now((handle) =>
      pairs(binding.residentRanges(handle, range.offset, range.length, READY)))
  }

  map (range) {
    const size = fs.fstatSync(this.fd).size
    const begin = Math.min(Math.floor(range.offset / this.page) * this.page, size)
    const end = range.length
      ? Math.min(Math.ceil((range.offset + range.length) / this.page) * this.page, size)
      : size
    if (begin >= end) throw systemError(ENODATA, 'getxattr', this.path)
    return drawn(this.ranges(range), begin, end)
  }

  async get (name) {
    const at = name.indexOf('@')
    const key = at < 0 ? name : name.slice(0, at)
    const row = READERS[key]
    if (!row) throw systemError(ENODATA, 'getxattr', this.path)
    if (at >= 0 && !row.takesRange) throw systemError(EINVAL, 'getxattr', this.path)
    return row.get(this, binding.parseRange(at < 0 ? '' : name.slice(at + 1)))
  }

  async set (name, value) {
    const write = WRITERS[name]
    if (!write) throw systemError(name.includes('@') ? EINVAL : EOPNOTSUPP, 'setxattr', this.path)
    await write(this, words(value))
  }

  close () {
    this.lasting?.close()
    this.lasting = undefined
  }
}

function reader (get, takesRange = true) {
  return { get, takesRange }
}

const READERS = {
  __proto__: null,
  stat: reader((file, range) => statText(file.stat(range))),
  pages: reader((file, range) => file.figure('pages', range)),
  locked: reader((file, range) => String(file.lockedPages(range))),
  ranges: reader((file, range) => listed(file.ranges(range))),
  map: reader((file, range) => file.map(range)),
  advise: reader((file) => file.advice, false),
  warm: reader((file) => file.warmed, false),
  evict: reader((file) => file.evicted, false),
  lock: reader((file) => listed(file.locked()), false),
  version: reader(() => binding.version, false)
}
for (const name of FIGURES.filter((name) => name !== 'occupied')) {
  READERS[name] = reader((file, range) => file.figure(name, range))
}

async function whileOpen (file, work) {
  const handle = binding.fromFd(file.fd, 0, LAZY, 0, 0, 0, file.path)
  try {
    return await work(handle, binding.length(handle))
  } finally {
    binding.close(handle)
  }
}

const WRITERS = {
  __proto__: null,

  async advise (file, list) {
    const word = binding.parseAdvice(list[0] ?? '')
    if (word === undefined) throw systemError(EINVAL, 'setxattr', file.path)
    const { kinds } = binding.advice[word]
    if (kinds & DESTRUCTIVE) throw systemError(EPERM, 'setxattr', file.path)
    const range = rangeOf(list, 1, file.path)
    const mapping = file.last()
    const part = clip(range, mapping.length)
    // What is destructive for private maps only is not for this one, which is shared.
    if (part) mapping.advise(word, part, { unsafe: true })
    if (kinds & STATE && range.offset === 0 && range.length === 0) file.advice = word
  },

  async sync (file, list) {
    const level = LEVELS.indexOf(list[0])
    if (level < 0) throw systemError(EINVAL, 'setxattr', file.path)
    const { offset, length } = rangeOf(list, 1, file.path)
    await whileOpen(file, (handle) => level === 0
      ? binding.flushAsync(handle, offset, length)
      : binding.flush(handle, level, offset, length))
  },

  async warm (file, list) {
    if (list.length === 1 && list[0] === 'cancel') return
    const { offset, length } = rangeOf(list, 0, file.path)
    const { total, missing = 0 } = await whileOpen(file, (handle) =>
      binding.warm(handle, offset, length))
    file.warmed = `done ${total - missing}/${total}`
  },

  async evict (file, list) {
    const sync = list[0] === 'sync'
    if (list.length === 1 && list[0] === 'cancel') return
    const { offset, length } = rangeOf(list, sync ? 1 : 0, file.path)
    const held = file.lasting
    // Its page table entries would keep the pages. Locked ones stay anyway, and say so.
    if (held?.length > 0 && file.locked().length === 0) {
      held.advise('dontneed', undefined, { unsafe: true })
    }
    const result = await whileOpen(file, (handle) =>
      binding.evict(handle, offset, length, sync ? 1 : 0))
    file.evicted = evictedText(result)
  },

  async lock (file, list) {
    if (list[0] !== 'on' && list[0] !== 'off') throw systemError(EINVAL, 'setxattr', file.path)
    const mapping = file.last()
    const range = clip(rangeOf(list, 1, file.path), mapping.length)
    if (!range) return
    if (list[0] === 'on') mapping.lock(range)
    else mapping.unlock(range)
  }
}

// The part of a range that the mapping has; null for none.
function clip ({ offset, length }, whole) {
  if (offset >= whole) return null
  const rest = whole - offset
  return { offset, length: length ? Math.min(length, rest) : rest }
}

function evictedText ({ before, after, stayed = {}, exact }) {
  if (after === undefined) return 'before=unknown after=unknown'
  const reasons = Object.entries(stayed).map(([why, pages]) => ` ${why}=${pages}`).join('')
  const how = reasons ? ` reasons=${exact ? 'exact' : 'inferred'}` : ''
  return `before=${before} after=${after}${reasons}${how}`
}

// ---- directories: sums over the tree ----

function * filesBelow (directory) {
  let entries
  try {
    entries = fs.readdirSync(directory, { withFileTypes: true, encoding: 'buffer' })
  } catch {
    return // what may not be read is not in the sums, as on a mount
  }
  for (const entry of entries) {
    const path = Buffer.concat([directory, Buffer.from('/'), entry.name])
    if (entry.isDirectory()) yield * filesBelow(path)
    else if (entry.isFile()) yield path
  }
}

function addFile (sums, found) {
  sums.pages += found.pages
  for (const name of FIGURES) {
    if (found[name] === undefined) sums[name] = undefined
    else if (sums[name] !== undefined) sums[name] += found[name]
  }
}

class PlainDirectory {
  constructor (path) {
    this.path = typeof path === 'string' ? path : Buffer.from(path).toString()
    this.bytes = Buffer.from(path)
  }

  sums () {
    const sums = { size: 0, pages: 0, pageSize: binding.constants.PAGESIZE, locked: 0 }
    for (const name of FIGURES) sums[name] = 0
    Object.assign(sums, { files: 0, unknown_files: 0 })
    const seen = new Set()
    for (const path of filesBelow(this.bytes)) {
      const { dev, ino, size } = fs.lstatSync(path, { bigint: true })
      if (seen.has(`${dev}:${ino}`)) continue
      seen.add(`${dev}:${ino}`)
      sums.files++
      const found = known(path)
      if (!found) sums.unknown_files++
      else {
        sums.size += Number(size)
        addFile(sums, found)
      }
    }
    return sums
  }

  async get (name) {
    if (name === 'version') return binding.version
    if (name !== 'stat' && name !== 'pages' && !FIGURES.includes(name)) {
      throw systemError(ENODATA, 'getxattr', this.path)
    }
    const sums = this.sums()
    if (name === 'stat') return statText(sums)
    if (sums[name] === undefined || sums.unknown_files > 0) {
      throw systemError(ENODATA, 'getxattr', this.path)
    }
    return String(sums[name])
  }

  // Each file in turn, as the attribute of the file would.
  async set (name, value) {
    if (!['warm', 'evict', 'sync', 'advise'].includes(name)) {
      throw systemError(EOPNOTSUPP, 'setxattr', this.path)
    }
    for (const path of filesBelow(this.bytes)) {
      const fd = fs.openSync(path, 'r')
      const file = new PlainFile(fd, path)
      try {
        await file.set(name, value)
      } finally {
        file.close()
        fs.closeSync(fd)
      }
    }
  }

  close () {}
}

function known (path) {
  try {
    const found = cachestat(path)
    return found.resident === undefined ? undefined : found
  } catch {
    return undefined
  }
}

module.exports = {
  plainDirectory: (path) => new PlainDirectory(path),
  plainFile: (fd, path) => new PlainFile(fd, path)
}
