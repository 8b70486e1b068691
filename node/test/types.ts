// SPDX-License-Identifier: MIT
// types.ts - compiled, not run: what the types must accept, and what they must refuse.
import { open, openAsync, fromFd, from, anonymous, cachestat, control, constants, features,
  installFaultGuard, Mapping } from 'mmapfs'
import io = require('mmapfs/compat/mmap-io')
import mmap = require('mmapfs/compat/mmap')

async function use (): Promise<void> {
  const mapping: Mapping = open('file', { access: 'write', offset: 5n, length: 10, grow: 'fallocate' })
  const other = await openAsync(new URL('file:///x'), { advice: 'random', populate: true })
  const words: Int32Array = mapping.typed(Int32Array, { offset: 4 })
  const view: Buffer = mapping.view(0n, 5)
  mapping.advise('willneed', { offset: 1 })
  mapping.advise('remove', undefined, { unsafe: true })
  // @ts-expect-error: destructive without unsafe
  mapping.advise('remove')
  // @ts-expect-error: no such access
  open('file', { access: 'rw' })
  // @ts-expect-error: only this package makes one
  const none = new Mapping()
  const { signal } = new AbortController()
  await mapping.prefetch({ signal, onProgress: (done: number, total: number) => { void [done, total] } })
  const { resident = 0, pages } = mapping.residency({ ready: true })
  const again: Mapping = from(mapping.descriptor())
  const shared: SharedArrayBuffer = anonymous(4096, { seal: true }).shared()
  const stat = await control('file').stat()
  installFaultGuard({ readOnlyWrites: 'copy' })
  const numbers: number[] = [resident, pages, stat.pages, features.maxLength, constants.PAGESIZE!,
    cachestat(5).pages, fromFd(5).length]
  {
    using scoped = open('file')
    await using later = open('file')
    void [scoped, later]
  }
  void [other, words, view, again, shared, numbers, none]
}

const a: Buffer = io.map(100, io.PROT_READ | io.PROT_WRITE, io.MAP_SHARED, 5, 0, io.MADV_RANDOM)
const [out, inn]: [number, number] = io.incore(a)
io.sync(a, 0, 10, true)
io.sync(a, true, false)
io.advise(a, 0, 10, io.MADV_NORMAL)
const b = mmap(100, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, 'file')
const c: boolean | undefined = b.sync(0, 10, mmap.MS_SYNC)
const d: boolean = mmap.map(1, 1, 1, 5).unmap()
void [use, out, inn, c, d]
