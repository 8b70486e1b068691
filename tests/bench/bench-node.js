// SPDX-License-Identifier: MIT
// bench-node.js - the addon and its peers side by side, in one process, by turns.
'use strict'

const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const v8 = require('node:v8')
const vm = require('node:vm')
const { setImmediate: turn } = require('node:timers/promises')

const PEERS = ['@riaskov/mmap-io', 'mmap-io', 'great-big-file-reader']
const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB
const SIZES = { '4 KiB': 4 * KIB, '1 MiB': MIB, '1 GiB': GIB }
const WORDS = 'Times are medians over the rounds, in microseconds for one operation.'

const USAGE = `Usage: node tests/bench/bench-node.js [--rounds N] [--peers DIRECTORY] [--json]

Compare the addon with ${PEERS.join(', ')}. Without --peers they are
installed by npm into a temporary directory. It reports; it does not pass or fail.
${WORDS}

Example: MMAPFS_ADDON=build/node/mmapfs.node node tests/bench/bench-node.js --rounds 9
`

function parse (args) {
  const options = { rounds: 7, peers: undefined, json: false }
  while (args.length > 0) {
    const name = args.shift()
    if (name === '--help') {
      process.stdout.write(USAGE)
      process.exit(0)
    }
    if (name === '--json') options.json = true
    else if (name === '--rounds' && Number(args[0]) >= 1) options.rounds = Number(args.shift())
    else if (name === '--peers' && args[0]) options.peers = path.resolve(args.shift())
    else {
      process.stderr.write(`bench-node.js: what is '${name}'? See --help\n`)
      process.exit(1)
    }
  }
  return options
}

const options = parse(process.argv.slice(2))
const work = fs.mkdtempSync(path.join(process.env.TMPDIR || '/var/tmp', 'mmapfs-bench-'))
process.on('exit', () => fs.rmSync(work, { recursive: true, force: true }))
process.on('SIGINT', () => process.exit(130))

function installPeers () {
  const at = path.join(work, 'peers')
  fs.mkdirSync(at)
  // Later versions of npm build nothing that is not named here.
  fs.writeFileSync(path.join(at, 'package.json'), JSON.stringify(
    { private: true, allowScripts: Object.fromEntries(PEERS.map((name) => [name, true])) }))
  // One at a time: one that does not build here leaves the others.
  for (const name of PEERS) {
    spawnSync('npm', ['install', '--no-audit', '--no-fund', name],
      { cwd: at, env: { ...process.env, CXXFLAGS: '-std=gnu++17' }, stdio: 'ignore' })
  }
  return at
}

function load (at, name) {
  try {
    const loaded = require(require.resolve(name, { paths: [at] }))
    return loaded.default ?? loaded
  } catch (error) {
    process.stderr.write(`bench-node.js: ${name} is left out: ${error.message.split('\n')[0]}\n`)
    return undefined
  }
}

const mmapfs = require('../../node')
const compat = require('../../node/compat/mmap-io.js')
const at = options.peers ?? installPeers()
const [riaskov, mmapIo, great] = PEERS.map((name) => load(at, name))

// ---- measuring ----

v8.setFlagsFromString('--expose-gc')
const gc = vm.runInNewContext('gc')

async function collect () {
  for (let i = 0; i < 2; i++) {
    gc()
    await turn()
    await turn()
  }
}

function median (values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

async function time (subject) {
  await collect()
  subject.before?.()
  const began = process.hrtime.bigint()
  for (let i = 0; i < subject.count; i++) subject.run()
  // Who unmaps in a finalizer does so here: that belongs to the time.
  if (subject.collected) await collect()
  const ended = process.hrtime.bigint()
  subject.after?.()
  return Number(ended - began) / 1000 / subject.count
}

const rows = []
function report (what, times) {
  const row = { what, ...Object.fromEntries([...times].map(([name, all]) => [name, median(all)])) }
  rows.push(row)
  print(row)
}

async function compare (what, subjects) {
  const present = Object.entries(subjects).filter(([, subject]) => subject)
  const times = new Map(present.map(([name]) => [name, []]))
  for (let round = 0; round < options.rounds; round++) {
    const order = round % 2 ? [...present].reverse() : present
    for (const [name, subject] of order) times.get(name).push(await time(subject))
  }
  report(what, times)
}

// The same numbers each time.
let seed = 1
function random (below) {
  seed = (seed * 48271) % 0x7fffffff
  return seed % below
}

function shuffle (list) {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random(i + 1)
    ;[list[i], list[j]] = [list[j], list[i]]
  }
}

// Single calls, which leave nothing to collect. They differ by less than the disk and the
// processor do from one moment to the next: so in many short slices, in an order that no
// rhythm of the machine's can meet.
const SLICES = 200
function compareCalls (what, count, subjects) {
  const present = Object.entries(subjects).filter(([, run]) => run)
  const times = new Map(present.map(([name]) => [name, []]))
  for (let slice = 0; slice < SLICES * options.rounds; slice++) {
    shuffle(present)
    for (const [name, run] of present) {
      const began = process.hrtime.bigint()
      for (let i = 0; i < count; i++) run()
      times.get(name).push(Number(process.hrtime.bigint() - began) / 1000 / count)
    }
  }
  report(what, new Map(Object.keys(subjects).filter((name) => times.has(name))
    .map((name) => [name, times.get(name)])))
}

const OURS = ['mmapfs', 'mmapfs compat']
const AGAIN = '@riaskov/mmap-io again'
function print (row) {
  if (options.json) return
  const { what, ...values } = row
  const peers = Object.entries(values)
    .filter(([name]) => !OURS.includes(name) && name !== AGAIN)
  const best = Math.min(...peers.map(([, value]) => value))
  console.log(`\n${what}`)
  for (const [name, value] of Object.entries(values)) {
    const ratio = (OURS.includes(name) || name === AGAIN) && peers.length > 0
      ? `   ${(value / best).toPrecision(3)} of the best peer's`
      : ''
    console.log(`  ${name.padEnd(24)}${value.toFixed(2).padStart(12)}${ratio}`)
  }
}

// ---- what is compared ----

function makeFile (size, real) {
  const name = path.join(work, `f${size}${real ? '-real' : ''}`)
  const fd = fs.openSync(name, 'w+')
  if (real) {
    const block = Buffer.alloc(MIB, 'some content ')
    for (let done = 0; done < size; done += block.length) fs.writeSync(fd, block)
    fs.fsyncSync(fd)
  } else fs.ftruncateSync(fd, size)
  return { name, fd }
}

// These unmap when the garbage collector finds them.
function family (io, call) {
  return io && { ...call(io), collected: true }
}

async function mapAndClose () {
  for (const [label, size] of Object.entries(SIZES)) {
    const { name, fd } = makeFile(size)
    const count = size === GIB ? 100 : 2000
    const mapped = (io) => ({ count, run: () => io.map(size, 1, 1, fd) })
    await compare(`map and close ${label}`, {
      mmapfs: { count, run: () => mmapfs.fromFd(fd).close() },
      'mmapfs compat': family(compat, mapped),
      '@riaskov/mmap-io': family(riaskov, mapped),
      'mmap-io': family(mmapIo, mapped),
      'great-big-file-reader': great && {
        count, run: () => new great.MMapping(name, fd).unmap()
      }
    })
    await compare(`map, look at one byte and close ${label}`, {
      mmapfs: {
        count,
        collected: true,
        run: () => {
          const mapping = mmapfs.fromFd(fd)
          if (mapping.buffer[0] !== 0) throw new Error('wrong byte')
          mapping.close()
        }
      },
      '@riaskov/mmap-io': family(riaskov, (io) => ({ count, run: () => io.map(size, 1, 1, fd)[0] })),
      'mmap-io': family(mmapIo, (io) => ({ count, run: () => io.map(size, 1, 1, fd)[0] })),
      'great-big-file-reader': great && {
        count,
        collected: true,
        run: () => {
          const mapping = new great.MMapping(name, fd)
          if (mapping.getBuffer(0n, size)[0] !== 0) throw new Error('wrong byte')
          // Unmapping under its buffer is not safe there; once unused it is.
          mapping.unmap()
        }
      }
    })
    fs.closeSync(fd)
  }
}

async function residency () {
  const { fd } = makeFile(GIB, true)
  const held = mmapfs.fromFd(fd)
  held.advise('populate-read')
  const found = held.residency()
  if (found.resident !== found.pages) {
    console.error(`only ${found.resident} of ${found.pages} pages are resident`)
  }
  const fresh = mmapfs.fromFd(fd)
  const subject = (io) => {
    let buffer
    return io && {
      count: 5,
      before: () => { buffer = io.map(GIB, 1, 1, fd) },
      run: () => io.incore(buffer),
      after: () => { buffer = undefined }
    }
  }
  await compare('residency of a resident 1 GiB, pages not touched through the mapping', {
    mmapfs: { count: 20, run: () => fresh.residency() },
    'mmapfs compat': subject(compat),
    '@riaskov/mmap-io': subject(riaskov),
    'mmap-io': subject(mmapIo)
  })
  const touched = (io) => {
    const of = subject(io)
    let buffer
    return of && {
      count: 5,
      before: () => {
        buffer = io.map(GIB, 1, 1, fd)
        let sum = 0
        for (let i = 0; i < GIB; i += 4096) sum += buffer[i]
        if (sum < 0) throw new Error()
      },
      run: () => io.incore(buffer),
      after: () => { buffer = undefined }
    }
  }
  await compare('residency of a resident 1 GiB, each page touched through the mapping', {
    mmapfs: { count: 20, run: () => held.residency() },
    '@riaskov/mmap-io': touched(riaskov),
    'mmap-io': touched(mmapIo)
  })
  held.close()
  fresh.close()
  fs.closeSync(fd)
}

// On a fresh mapping for each. One peer comes twice: what it differs from itself is noise.
function onMappings (fd, ours, theirs) {
  const by = (io) => io && theirs(io, io.map(MIB, 3, 1, fd))
  const mapping = mmapfs.fromFd(fd, { access: 'write' })
  // Mapped, as those of the others are: until then flush() need not be msync(2).
  if (mapping.buffer.length !== MIB) throw new Error('wrong length')
  return {
    mmapfs: ours(mapping),
    'mmapfs compat': by(compat),
    '@riaskov/mmap-io': by(riaskov),
    'mmap-io': by(mmapIo),
    [AGAIN]: by(riaskov)
  }
}

function store (buffer) {
  const byte = random(256)
  for (let i = 0; i < 16; i++) buffer[i * 65536] = byte
}

const flush = (mapping) => () => mapping.flush()
const sync = (io, buffer) => () => io.sync(buffer, 0, MIB, true)

function adviseAndSync () {
  const { fd } = makeFile(MIB, true)
  const range = { offset: 0, length: MIB }
  compareCalls('advise sequential, 1 MiB', 200, onMappings(fd,
    (mapping) => () => mapping.advise('sequential'),
    (io, buffer) => () => io.advise(buffer, io.MADV_SEQUENTIAL)))
  compareCalls('advise sequential, 1 MiB, by its range', 200, onMappings(fd,
    (mapping) => () => mapping.advise('sequential', range),
    (io, buffer) => () => io.advise(buffer, 0, MIB, io.MADV_SEQUENTIAL)))
  compareCalls('sync of clean pages, blocking, 1 MiB', 2, onMappings(fd, flush, sync))
  compareCalls('store to 16 pages and sync, blocking, 1 MiB', 1, onMappings(fd,
    (mapping) => () => { store(mapping.buffer); mapping.flush() },
    (io, buffer) => () => { store(buffer); io.sync(buffer, 0, MIB, true) }))
  fs.closeSync(fd)
}

// Where there is nothing to write, what is left is the call itself.
function syncOfMemory () {
  const memory = mmapfs.anonymous(MIB)
  const { fd } = memory.descriptor()
  compareCalls('sync of a file in memory, blocking, 1 MiB: the call alone', 200,
    onMappings(fd, flush, sync))
  memory.close()
}

async function main () {
  if (!options.json) {
    console.log(`Node.js ${process.version}, Linux ${os.release()}, ${os.cpus().length} processors, ` +
      `${options.rounds} rounds. ${WORDS}`)
  }
  await mapAndClose()
  await residency()
  adviseAndSync()
  syncOfMemory()
  if (options.json) for (const row of rows) console.log(JSON.stringify(row))
}

main()
