"""The time range that a page or an endpoint is asked about."""

from __future__ import annotations

from typing import Annotated

import msgspec

from kernelsight.errors import UsageError
from kernelsight.query.times import TimeRange, time_range

_SECOND = 1_000_000_000
LONGEST_NS = 400 * 86_400 * _SECOND
"""A year, and some days."""

From = Annotated[str, msgspec.Meta(description="Where the range begins, such as 15m (ago) or 14:05.", max_length=64)]
To = Annotated[str, msgspec.Meta(description="Where it ends.", max_length=64)]


def span(since: str, until: str) -> TimeRange:
    """The range between two times.

    Raises:
        UsageError: they are no times, or the range is longer than :data:`LONGEST_NS`.
    """
    when = time_range(since, until)
    if when.length_ns > LONGEST_NS:
        raise UsageError(f"the range is {when.length_ns // (86_400 * _SECOND):,} days long; ask for 400 days or less")
    return when
