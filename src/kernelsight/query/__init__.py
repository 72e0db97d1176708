"""Questions about telemetry, asked of any store: times in, rows out.

Every function takes a store first (a :class:`~kernelsight.stores.base.Reader`, a path or URL, or
anything with a ``reader()``), then what is asked about, then a time range in any of the forms of
:mod:`kernelsight.query.times`. Rows come out as dicts with ``timestamp`` (ns since the epoch) and
``time`` (the same moment in UTC, as SQLite's ``datetime(…, 'unixepoch')`` writes it).
"""

from kernelsight.moments import format_time
from kernelsight.query.aggregates import aggregate, percentiles
from kernelsight.query.around import around
from kernelsight.query.compare import compare
from kernelsight.query.correlate import asof_join, correlate
from kernelsight.query.filters import Condition
from kernelsight.query.planner import explain
from kernelsight.query.rows import rows
from kernelsight.query.series import Point, Series, series
from kernelsight.query.source import Readable, opened
from kernelsight.query.times import TimeRange, parse_duration, parse_time, time_range
from kernelsight.query.top import top

__all__ = [
    "Condition",
    "Point",
    "Readable",
    "Series",
    "TimeRange",
    "aggregate",
    "around",
    "asof_join",
    "compare",
    "correlate",
    "explain",
    "format_time",
    "opened",
    "parse_duration",
    "parse_time",
    "percentiles",
    "rows",
    "series",
    "time_range",
    "top",
]
