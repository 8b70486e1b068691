# SPDX-License-Identifier: MIT
"""A working set of files read whole, in an order by Zipf's law, and what a cache makes of it:
the hits of plain LRU in a simulation, and those of a mount with a budget as they happen,
seen from outside by cachestat(2)."""

import bisect
import itertools
import multiprocessing
import os
import random
import time

import mmapfs


def zipf_order(files, opens, skew, seed):
    """Numbers of files, the one of rank r as often as r ** -skew; who has which rank is
    chosen by the seed."""
    chance = random.Random(seed)
    ranks = list(range(files))
    chance.shuffle(ranks)
    sums = list(itertools.accumulate((rank + 1) ** -skew for rank in range(files)))
    return [ranks[bisect.bisect_left(sums, chance.random() * sums[-1])]
            for _ in range(opens)]


def lru_hits(order, sizes, budget):
    """Share of the bytes that plain LRU of whole files would have had."""
    cached, used, hits, total = {}, 0, 0, 0
    for file in order:
        total += sizes[file]
        if file in cached:
            hits += sizes[file]
            del cached[file]
        else:
            used += sizes[file]
        cached[file] = True
        while used > budget and len(cached) > 1:
            oldest = next(iter(cached))
            used -= sizes[oldest]
            del cached[oldest]
    return hits / total


class Hits:
    """Shares of the bytes that were read. `lost` had been pushed out by the kernel, not by
    the budget: those leave a trace (shadow entries), an evict leaves none."""

    def __init__(self):
        self.resident = self.lost = self.total = 0

    def look(self, fd, size):
        cached, _, _, evicted, _ = mmapfs.cachestat_fd(fd)
        self.resident += min(cached * mmapfs.PAGE, size)
        self.lost += min(evicted * mmapfs.PAGE, size)
        self.total += size

    def ratio(self):
        return self.resident / self.total

    def ratio_without_losses(self):
        return (self.resident + self.lost) / self.total


def read_all(path, buffer):
    """Read a file made by mmapfs.fill() to its end; its length. What it holds is checked."""
    fd = os.open(path, os.O_RDONLY)
    try:
        length = 0
        while count := os.readv(fd, [buffer]):
            for at in range(0, count, 64 * mmapfs.KIB):
                offset = int.from_bytes(buffer[at + 8:at + 16], "little")
                assert offset == length + at, f"{path}: {offset} at {length + at}"
            length += count
        return length
    finally:
        os.close(fd)


class Sampler:
    """A process that adds up what is resident of some files, again and again."""

    def __init__(self, paths, pause, probe=None):
        """@probe() is called with each sample; what it returns is kept with it."""
        self.samples = []
        self.paths, self.pause, self.probe = paths, pause, probe
        self.reader, self.writer = multiprocessing.Pipe(duplex=False)
        self.stop = multiprocessing.Event()
        self.process = multiprocessing.Process(target=self._run, daemon=True)

    def _run(self):
        fds = [os.open(path, os.O_RDONLY) for path in self.paths]
        samples = []
        while not self.stop.is_set():
            pages = sum(mmapfs.cachestat_fd(fd)[0] for fd in fds)
            samples.append((time.monotonic(), pages * mmapfs.PAGE,
                            self.probe() if self.probe else None))
            time.sleep(self.pause)
        self.writer.send(samples)

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.samples = self.reader.recv()
        self.process.join()


def streaks_over(samples, bound):
    """(seconds, most bytes, first probe, last probe) of each run of samples over the bound."""
    streaks = []
    for over, run in itertools.groupby(samples, key=lambda sample: sample[1] > bound):
        run = list(run)
        if over:
            streaks.append((run[-1][0] - run[0][0], max(sample[1] for sample in run),
                            run[0][2], run[-1][2]))
    return streaks
