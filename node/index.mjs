// SPDX-License-Identifier: MIT
// index.mjs - the same for import.
import mmapfs from './index.js'

export const {
  open, openAsync, fromFd, from, anonymous, cachestat, control, installFaultGuard, Mapping,
  Control, constants, features, version
} = mmapfs
export default mmapfs
