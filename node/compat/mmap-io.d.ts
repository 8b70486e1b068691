// SPDX-License-Identifier: MIT
/// <reference types="node" />

declare namespace mmap {
  const PROT_READ: number
  const PROT_WRITE: number
  const PROT_EXEC: number
  const PROT_NONE: number
  const MAP_SHARED: number
  const MAP_PRIVATE: number
  const MAP_NONBLOCK: number
  const MAP_POPULATE: number
  const MAP_ANONYMOUS: number
  const MADV_NORMAL: number
  const MADV_RANDOM: number
  const MADV_SEQUENTIAL: number
  const MADV_WILLNEED: number
  const MADV_DONTNEED: number
  const PAGESIZE: number

  function map(size: number, protection: number, flags: number, fd: number,
    offset?: number, advise?: number, name?: Buffer): Buffer
  function advise(buffer: Uint8Array, advise: number): void
  function advise(buffer: Uint8Array, offset: number, length: number, advise: number): void
  /** [pages not resident, pages resident] */
  function incore(buffer: Uint8Array): [number, number]
  function sync(buffer: Uint8Array, offset?: number, length?: number, blocking?: boolean,
    invalidate?: boolean): void
  function sync(buffer: Uint8Array, blocking: boolean, invalidate?: boolean): void
}

export = mmap
