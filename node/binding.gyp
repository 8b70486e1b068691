# SPDX-License-Identifier: MIT
# The fall-back where no prebuilt binary fits: core and the addon in one.
{
  'targets': [{
    'target_name': 'mmapfs',
    'sources': ['<!@(node scripts/sources.js files)'],
    'include_dirs': ['<!@(node scripts/sources.js includes)'],
    'defines': ['_GNU_SOURCE', '_FILE_OFFSET_BITS=64', 'NAPI_VERSION=8'],
    'cflags': ['-std=gnu11', '-fvisibility=hidden', '-fno-strict-aliasing', '-pthread'],
    'cflags!': ['-fexceptions'],
    # Its signal handlers outlive the worker that loaded it.
    'ldflags': ['-Wl,-z,nodelete', '-Wl,--version-script,<(module_root_dir)/src/exports.map', '-pthread']
  }]
}
