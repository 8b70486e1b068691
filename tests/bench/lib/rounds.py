# SPDX-License-Identifier: MIT
"""Rounds: every place once in each, so that what else the machine does hits all alike."""

import dataclasses
import json
import math
import statistics
import sys
import time
import typing


@dataclasses.dataclass
class Work:
    """@run is given a place and returns seconds, or, where @unit says so, a rate."""

    group: str
    name: str
    run: typing.Callable
    unit: str = "s"
    before: typing.Callable | None = None  # not timed
    places: tuple | None = None            # names; None: all
    rounds: int | None = None              # None: as the command line says
    # operations in one run, or a function of the place that says how many
    count: int | typing.Callable | None = None
    twice: tuple = ()                      # places that are measured twice in a round


class Report:
    """JSON lines to a file, and a word to who waits."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")
        self.begin = time.monotonic()

    def write(self, kind, **fields):
        self.file.write(json.dumps({"kind": kind, **fields}) + "\n")
        self.file.flush()

    def say(self, text):
        print(f"{time.monotonic() - self.begin:6.0f} s  {text}", file=sys.stderr,
              flush=True)


def spread(values):
    """What is printed of many measurements of one thing."""
    return {"rounds": len(values), "median": statistics.median(values),
            "least": min(values), "most": max(values)}


def exponent(points):
    """b of value = a * size^b, fitted by least squares in logarithms."""
    logs = [(math.log(size), math.log(value)) for size, value in points if value > 0]
    if len(logs) < 2:
        return None
    mean_x = statistics.fmean(x for x, _ in logs)
    mean_y = statistics.fmean(y for _, y in logs)
    above = sum((x - mean_x) * (y - mean_y) for x, y in logs)
    return round(above / sum((x - mean_x) ** 2 for x, _ in logs), 2)


def in_turn(places, number):
    """Who goes first changes with the round."""
    at = number % len(places)
    return places[at:] + places[:at]


def one(work, place):
    if work.before:
        work.before(place)
    return work.run(place)


def measure(work, places, rounds, report):
    """Run @work on all @places, @rounds times each; one line for each place."""
    places = [place for place in places if not work.places or place.name in work.places]
    for place in places:
        if place.hungry:  # the descriptors of the work before
            place.stop()
            place.start()
    taken = {place.name: [] for place in places}
    failed = {}
    for number in range(work.rounds or rounds):
        for place in in_turn(places + [place for place in places
                                       if place.name in work.twice], number):
            if place.name in failed:
                continue
            try:
                taken[place.name].append(one(work, place))
            except Exception as error:  # one peer's failure is a row, not the end
                failed[place.name] = f"{type(error).__name__}: {error}"[:300]
    for place in places:
        write_row(work, place, taken[place.name], failed.get(place.name), report)
    report.say(f"{work.group}: {work.name}")


def write_row(work, place, values, failure, report):
    count = work.count(place) if callable(work.count) else work.count
    row = {"group": work.group, "work": work.name, "unit": work.unit,
           "place": place.name, "version": place.version, "count": count}
    if failure:
        report.write("missing", why=failure, **row)
    elif values:
        report.write("result", **row, **spread(values), values=values)
