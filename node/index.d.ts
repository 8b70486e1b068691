// SPDX-License-Identifier: MIT
/// <reference types="node" />

/** Bytes. Numbers above 2^53 - 1 are refused, as bigint too. */
export type Size = number | bigint

/** `copy`: stores stay in this process, the file never changes. */
export type Access = 'read' | 'write' | 'copy'

export type Advice = 'normal' | 'random' | 'sequential' | 'willneed' | 'cold' | 'pageout' |
  'populate-read' | 'populate-write' | 'hugepage' | 'nohugepage' | 'collapse' | 'mergeable' |
  'unmergeable' | 'dontfork' | 'dofork' | 'dontdump' | 'dodump' | 'wipeonfork' | 'keeponfork'

/** May lose data: needs `{ unsafe: true }`. */
export type DestructiveAdvice = 'dontneed' | 'dontneed-locked' | 'free' | 'remove'

export interface OpenOptions {
  /** Default `read`. */
  access?: Access
  /** Of the window in the file; any value. */
  offset?: Size
  /** Of the window; default: to the end of the file. */
  length?: Size
  /** Create the file when it is missing. */
  create?: boolean
  /** Allocate the file up to the end of the window; needs access `write`. */
  grow?: boolean | 'fallocate'
  /** Permissions of a created file, before the umask. Default 0o666. */
  mode?: number
  advice?: Advice
  /** Read everything in before returning. */
  populate?: boolean
  /** Lock all of it in RAM. */
  lock?: boolean
  hugePages?: boolean
  /** Allow a window that reaches beyond the end of the file: its pages there are lost ones. */
  allowPastEof?: boolean
  /** What errors call it where there is no path. */
  name?: string
}

export interface Range {
  /** Default 0. */
  offset?: Size
  /** At least 1; default: to the end. */
  length?: Size
}

/** Counts in pages. What was not measured is not there. */
export interface Residency {
  pages: number
  /** In the page cache and, when `confidence` is `exact`, ready to be used. */
  resident?: number
  /** In the page cache, perhaps still being read. */
  occupied?: number
  dirty?: number
  writeback?: number
  /** Pushed out by the kernel. */
  evicted?: number
  recentlyEvicted?: number
  /** Bytes. */
  pageSize: number
  source: 'none' | 'cachestat' | 'mincore' | 'cachestat+mincore'
  confidence: 'unknown' | 'upper-bound' | 'exact'
  /** Why a figure is missing: `no-permission`, `old-kernel`, `memory-fs`, `stacked`, ... */
  reason?: string
  /** `dirty` counts whole folios on this filesystem. */
  dirtyIsUpperBound?: true
  /** The size of the file changed while it was measured. */
  changed?: true
}

/** Pages. Without `before` and so on when residency cannot be known. */
export interface Evicted {
  pages: number
  before?: number
  after?: number
  /** Pages that stayed, by reason: `dirty`, `mapped`, `locked`, ... */
  stayed?: Record<string, number>
  /** The reasons were read page by page, not inferred. */
  exact?: boolean
}

export interface ProgressOptions extends Range {
  signal?: AbortSignal
  /** Bytes between two looks at `signal` and calls of `onProgress`. Default 32 MiB. */
  chunk?: number
  onProgress?(done: number, total: number): void
}

/** Plain data: can be posted to a worker. */
export interface Descriptor {
  path?: string
  fd: number
  offset: number
  length: number
  access: Access
  dev: string
  ino: string
}

/** A file, or a window of one, in memory. Unmapped by close() or when nothing uses it. */
export class Mapping {
  private constructor()
  /** Bytes; 0 when closed. */
  readonly length: number
  /** Of the window in the file. */
  readonly offset: number
  readonly access: Access
  readonly path: string | undefined
  readonly closed: boolean
  /** What the fault guard has survived: pages lost, stores to read-only pages. Kept by
   * resize() and close(). */
  readonly faults: { bus: number, write: number }
  /** Of the file, now; differs from `length` when it was truncated. */
  readonly fileSize: number
  /** All of it, in place; made at first use, once. */
  readonly buffer: Buffer
  /** A window of it, in place; for files longer than the longest Buffer. */
  view(offset: Size, length: Size): Buffer
  typed<T>(Ctor: new (buffer: ArrayBuffer, byteOffset?: number, length?: number) => T,
    range?: Range): T
  /** For Atomics.wait and other threads; where `features.sharedArrayBuffer`. */
  shared(): SharedArrayBuffer
  /** Copy out; never raises a signal. Returns the bytes copied. */
  read(target: NodeJS.ArrayBufferView, offset?: Size): number
  /** Copy in. A write never makes the file longer. */
  write(source: NodeJS.ArrayBufferView, offset?: Size): number
  advise(advice: Advice, range?: Range): void
  advise(advice: Advice | DestructiveAdvice, range: Range | undefined,
    options: { unsafe: true }): void
  /** Make what was stored durable. */
  flush(range?: Range): void
  flushAsync(range?: Range): Promise<void>
  /** Read in what is missing. */
  prefetch(options?: ProgressOptions): Promise<void>
  /** Drop the pages from the page cache, for everybody. `sync`: write dirty ones first. */
  evict(range?: Range, options?: { sync?: boolean }): Promise<Evicted>
  /** `ready`: tell pages that are ready from pages still being read; slower. */
  residency(range?: Range & { ready?: boolean }): Residency
  residentRanges(range?: Range & { ready?: boolean }): { offset: number, length: number }[]
  lock(range?: Range): void
  unlock(range?: Range): void
  lockedRanges(): { offset: number, length: number }[]
  /** Buffers made before become empty. `fallocate: false`: leave a hole. */
  resize(length: Size, options?: { fallocate?: boolean }): void
  /** Read everything; rejects with ERR_FILE_TRUNCATED when a page is gone. */
  verify(): Promise<void>
  descriptor(): Descriptor
  /** Idempotent; buffers become empty. */
  close(): void
  closeAsync(): Promise<void>
  [Symbol.dispose](): void
  [Symbol.asyncDispose](): Promise<void>
}

/** What `user.mmapfs.stat` says; counts in pages. */
export interface ControlStat {
  size: number
  pages: number
  pageSize: number
  resident?: number
  occupied?: number
  dirty?: number
  writeback?: number
  evicted?: number
  locked?: number
  advice?: string
  dataPath?: string
  method?: string
  confidence?: string
  reason?: string
  files?: number
  unknownFiles?: number
  [key: string]: number | string | undefined
}

/** The control attributes of a file, on a mounted mmapfs or anywhere else. */
export class Control {
  private constructor()
  readonly path: string | Uint8Array
  readonly closed: boolean
  isMounted(): Promise<boolean>
  stat(): Promise<ControlStat>
  /** `name` with or without `user.mmapfs.`; a range may follow: `resident@1G+64M`. */
  get(name: string): Promise<string>
  /** Resolves when the work is done, also where the attribute only starts it. */
  set(name: string, value?: string): Promise<void>
  close(): void
  [Symbol.dispose](): void
}

export function open(path: string | Uint8Array | URL, options?: OpenOptions): Mapping
export function openAsync(path: string | Uint8Array | URL, options?: OpenOptions): Promise<Mapping>
/** The mapping has a descriptor of its own: `fd` may be closed at any time. */
export function fromFd(fd: number, options?: OpenOptions): Mapping
/** In another thread: the same window, mapped there. */
export function from(descriptor: Descriptor): Mapping
/** Fresh memory. `seal`: it can never be truncated. */
export function anonymous(length: Size,
  options?: { shared?: boolean, name?: string, seal?: boolean }): Mapping
/** Without a mapping. */
export function cachestat(pathOrFd: string | Uint8Array | URL | number, range?: Range): Residency
export function control(path: string | Uint8Array | URL): Control
/**
 * From now on, in the whole process: a lost page of a mapping reads as zeros and is counted
 * in `faults.bus`; with `copy` a store to a read-only mapping stays private to it and is
 * counted in `faults.write`.
 */
export function installFaultGuard(options?: { readOnlyWrites?: 'crash' | 'copy' }): void

/** PROT_*, MAP_*, MS_*, MADV_*, MCL_*, PAGESIZE. */
export const constants: Readonly<Record<string, number>>
export const features: Readonly<{
  cachestat: boolean
  externalBuffers: boolean
  sharedArrayBuffer: boolean
  /** Of a Buffer, bytes. */
  maxLength: number
}>
export const version: string
