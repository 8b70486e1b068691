# SPDX-License-Identifier: MIT
"""The Prometheus text format, read by Prometheus' own parser for Python."""

from prometheus_client.parser import text_string_to_metric_families

import mmapfs


class Metrics:
    """The samples of one text. A series that comes twice is an error, as it is there."""

    def __init__(self, text):
        self.types = {}
        self.samples = {}
        for family in text_string_to_metric_families(text):
            assert family.name not in self.types, family.name
            assert family.documentation, family.name
            self.types[family.name] = family.type
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.samples, key
                self.samples[key] = sample.value

    def value(self, name, **labels):
        """Of exactly this series; None when there is none. `errno` may be called errno_."""
        labels = {key.rstrip("_"): value for key, value in labels.items()}
        return self.samples.get(("mmapfs_" + name, frozenset(labels.items())))

    def series(self, name):
        """The values of all series of a name, by the value of their only label."""
        return {next(iter(labels))[1] if labels else None: value
                for (full, labels), value in self.samples.items() if full == "mmapfs_" + name}


def read(point):
    return Metrics(mmapfs.getattr(point, "metrics"))
