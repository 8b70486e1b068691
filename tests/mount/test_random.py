# SPDX-License-Identifier: MIT
"""A short run of random operations by several clients; tests/fuzz/random-ops.py does more."""

import randomwork

SECONDS = 6
SEED = 20261128  # the same operations each time, in an order that is not


def test_random_operations_of_several_clients(data_path, base, source, mount):
    (base / "state").mkdir()
    options = randomwork.OPTIONS.format(path=data_path, snapshot=base / "state" / "snapshot")
    mounted = mount(source, options)
    work = randomwork.Work(mounted.point, source, SEED, 3, SECONDS)
    wrong, files, counts = work.wait()
    assert not wrong, "\n".join(wrong)
    mounted.unmount()
    assert randomwork.source_differs(source, files) == []
    assert sum(counts.values()) > 100
