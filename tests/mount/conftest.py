# SPDX-License-Identifier: MIT
"""The mount tests: which of them which suite leaves out."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from fixtures import (base, data_path, half_broken, loop, mount, mounted,  # noqa: E402, F401
                      passthrough, passthrough_works, pytest_configure, source)

# Of these files some suites of run.sh take no notice: what takes many seconds is for `mount`
# alone (single tests are marked where they stand), the thread sanitizer sees nothing where one
# client does one thing at a time, and a newer libfuse nothing where all is above it.
MARKED = {
    "slow": ("test_behind_places", "test_cache_restart_many"),
    "one_client": ("test_attributes", "test_basic", "test_behind", "test_behind_places",
                   "test_limits", "test_security", "test_table", "test_users",
                   "test_users_control"),
    "any_libfuse": ("test_behind", "test_behind_places", "test_cache_budget",
                    "test_cache_policy", "test_cache_restart", "test_cache_restart_many",
                    "test_limits", "test_random", "test_table_budget", "test_users_control"),
}


def pytest_collection_modifyitems(items):
    for item in items:
        for name, files in MARKED.items():
            if item.path.stem in files:
                item.add_marker(name)
