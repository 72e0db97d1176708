"""The text that Prometheus scrapes (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kernelsight.printable import printable
from kernelsight.stores.base import Book, Reader
from kernelsight.surfaces.exports.families import PREFIX, Family, described_by, exported, families, labels
from kernelsight.surfaces.exports.newest import Newest, measured, newest
from kernelsight.surfaces.exports.state import last_diagnosis, signals_going_on

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LONGEST_LABEL = 200
_INFO = "1; what else is known of a series, as labels"
_HEALTHY = {True: 1.0, False: 0.0, None: math.nan}


def exposition(reader: Reader, *, processes: bool = False, now_ns: int | None = None) -> bytes:
    """The newest values of every series, the accounts, the signals that go on and the findings of the last look.

    Args:
        reader: of the store.
        processes: also one series for each process, which costs a server of Prometheus much.
        now_ns: the moment (ns since the epoch); now by default. Series without a recent row are left out.

    Returns:
        UTF-8 text of the content type :data:`CONTENT_TYPE`.

    Raises:
        StoreError: the store cannot be read.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(reader, time.time_ns() if now_ns is None else now_ns, processes=processes))
    return generate_latest(registry)


class _Scrape(Collector):
    def __init__(self, reader: Reader, now_ns: int, *, processes: bool) -> None:
        self._reader, self._now_ns, self._processes = reader, now_ns, processes

    def describe(self) -> Iterable[Metric]:
        """Nothing: else the registry would scrape once more to find the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        left_out = _gauge("export_left_out_series", "series of a kind beyond the bound of a scrape", ["kind"])
        for kind in exported(processes=self._processes):
            rows = newest(self._reader, kind, self._now_ns)
            yield from _metrics(rows)
            if rows.left_out:
                left_out.add_metric([kind.name], rows.left_out)
        yield left_out
        yield from _accounts(self._reader.books())
        yield from _signals(self._reader)
        yield from _diagnosis(self._reader)


def _metrics(rows: Newest) -> Iterator[Metric]:
    names = labels(rows.kind)
    labelled = {key: [_label(part) for part in key] for key in rows.rows}
    for family in families(rows.kind):
        metric = _family(family, names)
        for key, value in measured(rows, family):
            metric.add_metric(labelled[key], value)
        if metric.samples:
            yield metric
    names_only = described_by(rows.kind)
    if names_only and labelled:
        info = GaugeMetricFamily(f"{PREFIX}_{rows.kind.name}_info", _INFO, labels=(*names, *names_only))
        for key, row in rows.rows.items():
            info.add_metric([*labelled[key], *(_label(getattr(row, name)) for name in names_only)], 1)
        yield info


def _family(family: Family, names: Sequence[str]) -> CounterMetricFamily | GaugeMetricFamily:
    made = CounterMetricFamily if family.is_counter else GaugeMetricFamily
    return made(family.name, family.help, labels=names)


def _gauge(name: str, meaning: str, names: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", meaning, labels=names)


def _accounts(books: Sequence[Book]) -> Iterator[Metric]:
    for what, meaning in (
        ("lines", "lines that were read"),
        ("stored", "lines that became rows"),
        ("rejected", "lines that were refused, with a reason (`rejected_events`)"),
        ("dropped", "lines that were given up while the store could not be written"),
        ("lost", "lines that collectors printed and nobody read"),
    ):
        metric = CounterMetricFamily(f"{PREFIX}_ingest_{what}", meaning, labels=["kind"])
        for book in books:
            metric.add_metric([_label(book.kind)], getattr(book, what))
        yield metric


def _signals(reader: Reader) -> Iterator[Metric]:
    metric = _gauge("signals_going_on", "episodes of symptoms that go on (docs/rules.md)", ["rule", "severity"])
    for (rule, severity), episodes in sorted(signals_going_on(reader).items()):
        metric.add_metric([_label(rule), _label(severity)], episodes)
    yield metric


def _diagnosis(reader: Reader) -> Iterator[Metric]:
    rows = last_diagnosis(reader)
    if not rows:
        return
    healthy = _gauge("healthy", "what the last diagnosis of the agent says: 1 healthy, 0 findings, NaN not known", [])
    healthy.add_metric([], _HEALTHY[rows[0].healthy])
    looked = _gauge("diagnosis_timestamp_seconds", "end of the window of the last diagnosis", [])
    looked.add_metric([], rows[0].timestamp / 1e9)
    finding = _gauge(
        "finding_confidence_ratio",
        "how sure the last diagnosis is of a finding (docs/faults.md)",
        ["fault", "culprit_kind", "culprit", "culprit_name"],
    )
    for row in rows:
        if row.fault is not None and row.confidence is not None:
            finding.add_metric(
                [_label(row.fault), _label(row.culprit_kind), _label(row.culprit), _label(row.culprit_name)],
                row.confidence,
            )
    yield from (healthy, looked, finding)


def _label(value: object) -> str:
    """The value of a label: others' text in one printable line of bounded length; nothing where it is not known."""
    if value is None:
        return ""
    text = printable(str(value))
    if len(text) <= LONGEST_LABEL:
        return text
    return f"{text[:LONGEST_LABEL]}...{zlib.crc32(text.encode(errors='replace')):08x}"  # two long ones stay two
