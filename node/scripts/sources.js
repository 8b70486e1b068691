// SPDX-License-Identifier: MIT
// sources.js - where the C is: in the repository, or in the package's own copy of core.
'use strict'

const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..')
const vendored = path.join(root, 'vendor', 'core')
const core = fs.existsSync(vendored) ? vendored : path.join(root, '..', 'core')

function cFiles (directory) {
  return fs.readdirSync(directory).filter((name) => name.endsWith('.c')).sort()
    .map((name) => path.relative(root, path.join(directory, name)))
}

module.exports = {
  core,
  root,
  files: () => [...cFiles(core), ...cFiles(path.join(root, 'src'))],
  // Two headers would be the one of core and of src by name; src is found by its own files.
  includes: () => [core, path.join(core, 'include')].map((dir) => path.relative(root, dir))
}

if (require.main === module) console.log(module.exports[process.argv[2]]().join('\n'))
