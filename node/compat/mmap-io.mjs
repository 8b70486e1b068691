// SPDX-License-Identifier: MIT
// mmap-io.mjs - the same for import.
import mmap from './mmap-io.js'

export const {
  map, advise, incore, sync, PROT_READ, PROT_WRITE, PROT_EXEC, PROT_NONE, MAP_SHARED,
  MAP_PRIVATE, MAP_NONBLOCK, MAP_POPULATE, MAP_ANONYMOUS, MADV_NORMAL, MADV_RANDOM,
  MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, PAGESIZE
} = mmap
export default mmap
