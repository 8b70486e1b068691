// SPDX-License-Identifier: MIT
/// <reference types="node" />

declare namespace mmap {
  /** A Buffer on mapped memory. */
  interface MappedBuffer extends Buffer {
    /** Unmap: true, and the buffer's length is 0; false when it already was. */
    unmap(): boolean
    /** msync(2): true or false; undefined when `offset` is beyond the end. */
    sync(offset?: number, length?: number, flags?: number): boolean | undefined
  }

  const PROT_NONE: number
  const PROT_READ: number
  const PROT_WRITE: number
  const PROT_EXEC: number
  const MAP_SHARED: number
  const MAP_PRIVATE: number
  const MAP_ANONYMOUS: number
  const MS_ASYNC: number
  const MS_INVALIDATE: number
  const MS_SYNC: number
  const PAGESIZE: number

  /** The function itself. */
  function map(size: number, protection: number, flags: number,
    fd: number | string | Buffer | URL, offset?: number): MappedBuffer
}

/** Map `size` bytes of an open file, or of the file of that name (0: all of it). */
declare function mmap(size: number, protection: number, flags: number,
  fd: number | string | Buffer | URL, offset?: number): mmap.MappedBuffer

export = mmap
