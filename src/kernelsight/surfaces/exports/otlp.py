"""Send metrics and logs over OTLP/HTTP (https://opentelemetry.io/docs/specs/otlp/), by OpenTelemetry's own exporters.

They compress, send again what a server could not take for the moment, and read the documented variables
`OTEL_EXPORTER_OTLP_*` (headers with secrets belong there).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping

import requests
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from kernelsight.events.action import DiagnosisRow
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.signal import Signal
from kernelsight.printable import printable
from kernelsight.query.source import AHEAD_NS
from kernelsight.query.stored import row_id, stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader
from kernelsight.surfaces.exports.conventions import attribute_of, convention_of
from kernelsight.surfaces.exports.families import PREFIX, Family, exported, families, labels
from kernelsight.surfaces.exports.newest import Newest, measured, newest

_SCOPE = InstrumentationScope("kernelsight")
_SCHEMA = "https://opentelemetry.io/schemas/1.30.0"
_UNITS = {"seconds": "s", "bytes": "By", "ratio": "1", "hertz": "Hz", "bytes_per_second": "By/s"}
"""Base units by the codes of UCUM, which the conventions ask for."""
_SEVERITY = {"info": SeverityNumber.INFO, "warning": SeverityNumber.WARN, "critical": SeverityNumber.ERROR}
_LEVELS = (
    SeverityNumber.FATAL,
    SeverityNumber.FATAL,
    SeverityNumber.FATAL,
    SeverityNumber.ERROR,
    SeverityNumber.WARN,
    SeverityNumber.INFO2,
    SeverityNumber.INFO,
    SeverityNumber.DEBUG,
)
"""By the level of a message of the kernel (syslog(2))."""

LONGEST_LOOK_BACK_NS = 3600 * 1_000_000_000
"""What a receiver did not take for so long is given up: an outage must not end in a flood."""

Said = tuple[object, ...]
"""What tells something that was sent from all else of its kind."""
Attributes = Mapping[str, str | int | float | bool]


def resource() -> Resource:
    """This machine and this service, with what `OTEL_RESOURCE_ATTRIBUTES` adds."""
    return Resource.create({"service.name": "kernelsight", "host.name": socket.gethostname(), "os.type": "linux"})


class Sender:
    """A connection to one receiver. Not for several threads."""

    def __init__(self, endpoint: str, *, timeout_s: float = 10.0) -> None:
        """Open it.

        Args:
            endpoint: base URL, such as `http://localhost:4318`; metrics go to `/v1/metrics`, logs to `/v1/logs`.
            timeout_s: of one request with all its repetitions.
        """
        base = endpoint.rstrip("/")
        self._resource = resource()
        self._metrics = OTLPMetricExporter(
            f"{base}/v1/metrics", timeout=timeout_s, compression=Compression.Gzip, session=_session()
        )
        self._logs = OTLPLogExporter(
            f"{base}/v1/logs", timeout=timeout_s, compression=Compression.Gzip, session=_session()
        )
        self._seen: dict[Said, int] = {}

    def send_metrics(self, reader: Reader, now_ns: int, *, processes: bool = False) -> bool:
        """Send the newest values of every series; False when the receiver did not take them."""
        metrics = list(_metrics(reader, now_ns, processes=processes))
        if not metrics:
            return True
        data = MetricsData([ResourceMetrics(self._resource, [ScopeMetrics(_SCOPE, metrics, _SCHEMA)], _SCHEMA)])
        return self._metrics.export(data) is MetricExportResult.SUCCESS

    def send_logs(self, reader: Reader, since_ns: int) -> bool:
        """Send signals, findings and messages of the kernel that were not sent before; False when not taken.

        Those that were not taken are sent with the next call.

        Args:
            reader: of the store.
            since_ns: none that is older (ns since the epoch).
        """
        when = TimeRange(max(since_ns, time.time_ns() - LONGEST_LOOK_BACK_NS), time.time_ns() + AHEAD_NS)
        seen = {key: stamp for key, stamp in self._seen.items() if stamp >= when.start_ns}
        records: list[ReadableLogRecord] = []
        for key, stamp, record in _said(reader, when):
            if key not in seen:
                seen[key] = stamp
                records.append(ReadableLogRecord(record, self._resource, _SCOPE))
        if records and self._logs.export(records) is not LogRecordExportResult.SUCCESS:
            return False
        self._seen = seen
        return True

    def close(self) -> None:
        """End it; what waits for a repetition is given up."""
        self._metrics.shutdown()
        self._logs.shutdown()  # type: ignore[no-untyped-call] # the library declares no type


def _session() -> requests.Session:
    """A session in which a redirect is an error: the exporters take one for a success, and nothing has arrived."""
    session = requests.Session()
    session.hooks["response"].append(_require_no_redirect)
    return session


def _require_no_redirect(response: requests.Response, *_: object, **__: object) -> None:
    if 300 <= response.status_code < 400:
        response.close()
        raise requests.RequestException(f"answered {response.status_code}; redirects are not followed")


def _said(reader: Reader, when: TimeRange) -> Iterator[tuple[Said, int, LogRecord]]:
    """All that is said within a range: what tells it from all else, its stamp, and what is sent of it."""
    for signal in stored_rows(reader, Signal, when):  # its row is replaced while the episode goes on
        yield (signal.rule, signal.entity, signal.timestamp), signal.timestamp, _of_signal(signal)
    for finding in stored_rows(reader, DiagnosisRow, when):
        if finding.fault is not None:
            yield (finding.diagnosis_id, finding.rank), finding.timestamp, _of_finding(finding, finding.fault)
    for message in stored_rows(reader, KernelMessage, when):
        yield (row_id(message),), message.timestamp, _of_message(message)


def _metrics(reader: Reader, now_ns: int, *, processes: bool) -> Iterator[Metric]:
    together: dict[str, tuple[Family, list[NumberDataPoint]]] = {}
    for kind in exported(processes=processes):
        rows = newest(reader, kind, now_ns)
        for family in families(kind):
            name, attributes = _name(family)
            points = [_point(rows, key, attributes, value) for key, value in measured(rows, family)]
            if points:
                together.setdefault(name, (family, []))[1].extend(points)
    for name, (family, points) in together.items():
        data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True) if family.is_counter else Gauge(points)
        yield Metric(name, family.help, _UNITS.get(family.unit, f"{{{family.unit}}}" if family.unit else "1"), data)


def _name(family: Family) -> tuple[str, Attributes]:
    convention = convention_of(family.kind.struct, family.column)
    if convention is not None:
        return convention.name, convention.attributes
    return f"{PREFIX}.{family.kind.name}.{family.words}", {}


def _point(rows: Newest, key: tuple[object, ...], attributes: Attributes, value: float) -> NumberDataPoint:
    named = {
        attribute_of(name): _attribute(part)
        for name, part in zip(labels(rows.kind), key, strict=True)
        if part is not None
    }
    return NumberDataPoint({**named, **attributes}, 0, rows.rows[key].timestamp, value)


def _attribute(value: object) -> str | int | float | bool:
    return value if isinstance(value, int | float | bool) else printable(str(value))


def _of_signal(row: Signal) -> LogRecord:
    return _record(
        row.timestamp,
        _SEVERITY.get(str(row.severity), SeverityNumber.INFO),
        row.summary,
        {"rule": row.rule, "entity": row.entity, "table": row.table_name, "value": row.value},
        "kernelsight.signal",
    )


def _of_finding(row: DiagnosisRow, fault: str) -> LogRecord:
    culprit = f"{row.culprit_kind} {row.culprit_name or row.culprit}"
    return _record(
        row.timestamp,
        SeverityNumber.ERROR,
        row.sentence or f"{fault.replace('_', ' ')} by {culprit} ({100 * (row.confidence or 0):.0f}% sure)",
        {"fault": fault, "culprit": row.culprit, "victims": row.victims, "confidence": row.confidence},
        "kernelsight.finding",
    )


def _of_message(row: KernelMessage) -> LogRecord:
    level = row.level if isinstance(row.level, int) and 0 <= row.level < len(_LEVELS) else len(_LEVELS) - 1
    return _record(
        row.timestamp,
        _LEVELS[level],
        row.text,
        {"message_kind": row.message_kind, "from_kernel": row.from_kernel, "device": row.device, "count": row.count},
        "kernelsight.kernel_message",
    )


def _record(
    stamp_ns: int, severity: SeverityNumber, text: str | None, known: Mapping[str, object], name: str
) -> LogRecord:
    return LogRecord(
        timestamp=stamp_ns,
        observed_timestamp=time.time_ns(),
        severity_number=severity,
        severity_text=severity.name,
        body=printable(text or ""),
        attributes={f"kernelsight.{key}": _attribute(value) for key, value in known.items() if value is not None},
        event_name=name,
    )
