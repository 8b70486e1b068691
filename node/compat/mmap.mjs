// SPDX-License-Identifier: MIT
// mmap.mjs - the same for import.
import mmap from './mmap.js'

export const {
  map, PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC, MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS,
  MS_ASYNC, MS_INVALIDATE, MS_SYNC, PAGESIZE
} = mmap
export default mmap
