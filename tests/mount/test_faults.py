# SPDX-License-Identifier: MIT
"""A bad day: files shrink under their readers, the disk is full, half a file is unreadable.
The daemon stays up, every caller gets an errno, nothing hangs."""

import os
import subprocess
import threading

import mmapfs
from mmapfs import errno_of


def is_alive(mounted):
    """It answers, and it is the process that was started."""
    assert mounted.process.poll() is None, mounted.text()
    os.listdir(mounted.point)
    return True


class Load:
    """Functions called over and over in threads; each may fail with a known errno."""

    def __init__(self, *work, allowed):
        self.stop = threading.Event()
        self.allowed = allowed
        self.surprises = []
        self.rounds = [0] * len(work)
        self.threads = [threading.Thread(target=self._loop, args=(index, one))
                        for index, one in enumerate(work)]

    def _loop(self, index, work):
        while not self.stop.is_set():
            try:
                work()
            except OSError as error:
                name = mmapfs.errno_name(error.errno)
                if name not in self.allowed:
                    self.surprises.append(f"{work.__name__}: {error}")
                    return
            except BaseException as error:
                self.surprises.append(f"{work.__name__}: {error!r}")
                return
            self.rounds[index] += 1

    def wait_for_rounds(self, count, also=lambda: True):
        """Until each has come round that often from now on, or one has failed."""
        want = [done + count for done in self.rounds]
        mmapfs.wait_until(lambda: self.surprises or
                          (also() and all(map(int.__ge__, self.rounds, want))),
                          60, f"{count} rounds of each, now {self.rounds},")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(mmapfs.DEADLINE)
        assert not any(thread.is_alive() for thread in self.threads), "a caller hangs"
        assert not self.surprises, "\n".join(self.surprises)


def test_truncation_under_readers_mappers_warm_and_lock(source, mounted):
    length = 4 * mmapfs.MIB
    data = mmapfs.fill(source / "f", length).read_bytes()
    file = mounted / "f"

    def read():
        file.read_bytes()

    def populate():
        """A client's mapping; populated so that a fault is EFAULT, not SIGBUS."""
        with mmapfs.mapped(file) as mapping:
            mapping.populate()

    def warm():
        mmapfs.setattr(file, "warm")

    def lock():
        mmapfs.setattr(file, "lock", "on")
        mmapfs.setattr(file, "lock", "off")

    def look():
        fields = mmapfs.stat(file)
        assert fields["resident"] <= length // mmapfs.PAGE + 1
        mmapfs.getattr(file, "ranges")
        mmapfs.getattr(file, "map")

    def evict():
        mmapfs.setattr(file, "evict")

    allowed = {"EFAULT", "EINVAL", "ESTALE", "EAGAIN", "EBUSY", "EIO", "ENODATA"}
    with Load(read, populate, warm, lock, look, evict, allowed=allowed) as load:
        for i in range(300):
            os.truncate(source / "f", (i * 37 % 5) * mmapfs.MIB + i)
            if i % 10 == 0:
                (source / "f").write_bytes(data)
        load.wait_for_rounds(5)
    assert is_alive(mounted)
    mmapfs.setattr(file, "lock", "off")
    (source / "f").write_bytes(data)
    mmapfs.wait_until(lambda: file.read_bytes() == data, what="all of the file again")


def test_truncation_to_nothing_of_a_locked_file(source, mounted):
    mmapfs.fill(source / "f", mmapfs.MIB)
    mmapfs.setattr(mounted / "f", "lock", "on")
    os.truncate(source / "f", 0)
    assert mmapfs.number(mounted / "f", "resident") == 0
    assert mmapfs.number(mounted / "f", "locked") == 0
    mmapfs.setattr(mounted / "f", "lock", "off")
    assert is_alive(mounted)


def test_a_file_removed_from_the_source_gives_an_errno(source, mounted):
    mmapfs.fill(source / "f", mmapfs.MIB)
    with open(mounted / "f", "rb") as file:
        os.unlink(source / "f")
        assert errno_of(mmapfs.getattr, f"/proc/self/fd/{file.fileno()}", "stat") in (
            None, "ESTALE", "ENOENT")
        assert len(file.read()) == mmapfs.MIB
    mmapfs.wait_until(lambda: errno_of(mmapfs.getattr, mounted / "f", "stat") in (
        "ENOENT", "ESTALE"), what="the file's absence")
    assert is_alive(mounted)


def test_a_file_replaced_on_the_source_is_the_new_one(source, mounted):
    mmapfs.fill(source / "f", mmapfs.MIB)
    mmapfs.setattr(mounted / "f", "lock", "on")
    mmapfs.fill(source / "new", 2 * mmapfs.MIB, seed=2)
    os.rename(source / "new", source / "f")
    mmapfs.wait_until(lambda: mmapfs.stat(mounted / "f")["size"] == 2 * mmapfs.MIB,
                      what="the new file")
    assert mmapfs.number(mounted / "f", "locked") == 0
    assert (mounted / "f").read_bytes() == (source / "f").read_bytes()


def test_a_full_disk_is_enospc_and_keeps_what_was_written(loop, mount, data_path):
    disk = loop("ext4", 16 * mmapfs.MIB)
    mounted = mount(disk.point, f"allow_other,data_path={data_path}")
    written, number = 0, None
    with open(mounted / "f", "wb", buffering=0) as file:
        try:
            while True:
                written += file.write(b"x" * 65536)
        except OSError as error:
            number = mmapfs.errno_name(error.errno)
    assert number == "ENOSPC"
    assert written > 8 * mmapfs.MIB
    assert (disk.point / "f").stat().st_size == written
    assert (disk.point / "f").read_bytes() == b"x" * written
    assert errno_of((mounted / "g").write_bytes, b"y" * 65536) == "ENOSPC"
    assert errno_of(mmapfs.fallocate, mounted / "f", 0, 0, 1 << 30) == "ENOSPC"
    mmapfs.setattr(mounted / "f", "sync", "sync")
    mmapfs.setattr(mounted / "f", "warm")
    os.unlink(mounted / "f")
    mmapfs.wait_until(lambda: errno_of((mounted / "g").write_bytes, b"y" * 65536) is None,
                      what="space after the unlink")
    assert is_alive(mounted)


# ---- a disk whose second half cannot be read -------------------------------------------


def test_reads_of_a_broken_half_are_eio(half_broken, mount, data_path):
    point, good = half_broken
    mounted = mount(point, f"ro,data_path={data_path}")
    with open(mounted / "f", "rb", buffering=0) as file:
        # Far from the border: readahead of a good page may touch bad ones.
        assert len(os.pread(file.fileno(), 4096, 0)) == 4096
        assert errno_of(os.pread, file.fileno(), 4096, good + mmapfs.MIB) == "EIO"
        assert errno_of(os.pread, file.fileno(), 4096, 2 * good - 4096) == "EIO"
        assert len(os.pread(file.fileno(), 4096, good - 4096)) == 4096
    assert is_alive(mounted)


def test_controls_on_a_broken_half_say_so(half_broken, mount, data_path):
    from test_lifecycle import SET, control
    point, good = half_broken
    mounted = mount(point, f"ro,data_path={data_path}")
    control(mounted / "f", SET, "warm")
    mmapfs.wait_until(lambda: mmapfs.warm_is_done(mounted / "f"), what="the end of warm")
    assert "EIO" in mmapfs.getattr(mounted / "f", "warm")
    assert errno_of(control, mounted / "f", SET, "lock", "on") == "EIO"
    assert mmapfs.number(mounted / "f", "locked") == 0
    control(mounted / "f", SET, "lock", f"on 0+{good}")
    assert mmapfs.number(mounted / "f", "locked") == good // mmapfs.PAGE
    assert mmapfs.number(mounted / "f", f"resident@0+{good}") == good // mmapfs.PAGE
    fields = mmapfs.stat(mounted / "f")
    assert fields["resident"] == good // mmapfs.PAGE
    control(mounted / "f", SET, "evict")
    assert is_alive(mounted)


def test_an_error_of_writing_back_is_reported_by_sync(loop, mount, data_path):
    """A loop device over a tmpfs that is too small: the write succeeds, writing back fails."""
    disk = loop("ext4", 64 * mmapfs.MIB, mkfs=["-O", "^has_journal", "-b", "4096"],
                options="errors=continue")
    small = disk.point.parent / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", small], check=True)
    device = None
    try:
        with open(small / "img", "wb") as image:
            image.truncate(64 * mmapfs.MIB)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-b", "4096",
                        small / "img"], check=True)
        device = subprocess.run(["losetup", "-f", "--show", small / "img"], check=True,
                                capture_output=True, text=True).stdout.strip()
        (small.parent / "m").mkdir()
        subprocess.run(["mount", device, small.parent / "m"], check=True)
        mounted = mount(small.parent / "m", f"allow_other,data_path={data_path}")
        with open(mounted / "f", "wb", buffering=0) as file:
            for _ in range(20):
                file.write(b"x" * mmapfs.MIB)
            assert errno_of(mmapfs.setattr, mounted / "f", "sync", "sync") in (
                "EIO", "ENOSPC")
            assert errno_of(os.fsync, file.fileno()) in ("EIO", "ENOSPC")
        assert is_alive(mounted)
        mounted.unmount()
    finally:
        subprocess.run(["umount", small.parent / "m"], check=False, capture_output=True)
        if device:
            subprocess.run(["losetup", "-d", device], check=False)
        subprocess.run(["umount", "-l", small], check=False)
