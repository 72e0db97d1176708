"""Log-linear histograms as the kernel's programs count them: 32 buckets to an octave of nanoseconds."""

from __future__ import annotations

from collections.abc import Sequence

BUCKETS = 992
_UNIT_NS = 32
_PER_OCTAVE = 32


def lower_bound(bucket: int) -> int:
    """The least value (ns) of a bucket; that of the next one is its end."""
    if bucket < _PER_OCTAVE:
        return bucket * _UNIT_NS
    octave, step = divmod(bucket - _PER_OCTAVE, _PER_OCTAVE)
    return (_PER_OCTAVE + step) * _UNIT_NS << octave


def percentiles(counts: Sequence[tuple[int, int]], fractions: Sequence[float]) -> list[float]:
    """Values (ns) below which these fractions lie, by nearest rank: the middle of the bucket of that rank.

    Args:
        counts: bucket and count, by ascending bucket; not empty.
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
            values.append((lower_bound(bucket) + lower_bound(bucket + 1)) / 2)
            fraction = next(wanted, None)
    return values
