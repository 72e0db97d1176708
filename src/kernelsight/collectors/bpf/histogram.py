"""Log-linear histograms as the kernel's programs count them (bpf/histogram.h)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Counts = Sequence[tuple[int, int]]
"""Bucket and count, by ascending bucket."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The buckets of a histogram: first linear ones, then as many to each octave."""

    unit_ns: int
    """Width of a linear bucket."""
    per_octave: int
    buckets: int

    def lower_bound(self, bucket: int) -> int:
        """The least value (ns) of a bucket; that of the next one is its end."""
        if bucket < self.per_octave:
            return bucket * self.unit_ns
        octave, step = divmod(bucket - self.per_octave, self.per_octave)
        return (self.per_octave + step) * self.unit_ns << octave

    def percentiles(self, counts: Counts, fractions: Sequence[float]) -> list[float]:
        """Values (ns) below which these fractions lie, by nearest rank: the middle of the bucket of that rank.

        Args:
            counts: not empty.
            fractions: ascending, each in (0, 1].
        """
        total = sum(count for _, count in counts)
        values: list[float] = []
        seen = 0
        wanted = iter(fractions)
        fraction = next(wanted, None)
        for bucket, count in counts:
            seen += count
            while fraction is not None and seen >= fraction * total:
                values.append((self.lower_bound(bucket) + self.lower_bound(bucket + 1)) / 2)
                fraction = next(wanted, None)
        return values


FINE = Scale(unit_ns=32, per_octave=32, buckets=992)
"""From 32 ns to 18 minutes, each value within 1.6 % (but for the linear buckets)."""
COARSE = Scale(unit_ns=256, per_octave=16, buckets=464)
"""From 256 ns to 18 minutes, each value within 3.2 %."""
