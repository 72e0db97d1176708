"""What a receiver of OpenTelemetry gets: a real one, that decodes the requests by the published messages."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from click.testing import CliRunner
from exported import EVENTS, HOSTILE, NOW, S, store_of
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from kernelsight.stores.base import open_reader
from kernelsight.surfaces.cli.main import main
from kernelsight.surfaces.exports.conventions import CONVENTIONS
from kernelsight.surfaces.exports.otlp import Sender


class Receiver(ThreadingHTTPServer):
    """Takes what is sent, and answers with the codes that it is told to, 200 after them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.logs: list[ExportLogsServiceRequest] = []
        self.answers: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def points(self):
        return {
            (metric.name, tuple(sorted((a.key, _value(a.value)) for a in point.attributes))): (metric, point)
            for request in self.metrics
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in (metric.sum.data_points or metric.gauge.data_points)
        }

    def records(self):
        return [
            record
            for request in self.logs
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
        code = self.server.answers.pop(0) if self.server.answers else 200
        if code == 200 and self.path == "/v1/metrics":
            self.server.metrics.append(ExportMetricsServiceRequest.FromString(body))
        elif code == 200:
            self.server.logs.append(ExportLogsServiceRequest.FromString(body))
        self.send_response(code)
        if code in {301, 307}:
            self.send_header("Location", f"{self.server.url}/v1/logs")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _value(value):
    return getattr(value, value.WhichOneof("value"))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def lately():
    """The events as if they were of now."""
    now = time.time_ns()
    return [msgspec.structs.replace(event, timestamp=event.timestamp + now - NOW) for event in EVENTS]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return store_of(tmp_path_factory.mktemp("exported") / "db", lately())


@pytest.fixture
def reader(path):
    opened = open_reader(path)
    yield opened
    opened.close()


def test_metrics_have_the_names_units_and_attributes_of_the_conventions(receiver, reader):
    sender = Sender(receiver.url)
    assert sender.send_metrics(reader, time.time_ns())
    sender.close()
    points = receiver.points()
    metric, point = points["system.cpu.time", (("cpu.logical_number", 1), ("cpu.mode", "user"))]
    assert (metric.unit, metric.sum.is_monotonic, point.as_double) == ("s", True, 2.0)
    assert 0 < time.time_ns() - point.time_unix_nano < 60 * S
    metric, point = points["system.disk.io", (("disk.io.direction", "read"), ("system.device", "sda"))]
    assert (metric.unit, point.as_double) == ("By", 2_000 * 512)
    metric, point = points["system.memory.usage", (("system.memory.state", "free"),)]
    assert (metric.unit, point.as_double) == ("By", 1_000_000 * 1024)
    assert metric.WhichOneof("data") == "gauge"
    metric, point = points["kernelsight.block.in_flight_requests", (("system.device", "sda"),)]
    assert (metric.unit, point.as_double) == ("{requests}", 3)
    assert not [name for name, labels in points if ("cpu.logical_number", -1) in labels]
    resource = receiver.metrics[0].resource_metrics[0].resource
    assert {a.key: _value(a.value) for a in resource.attributes}["service.name"] == "kernelsight"


def test_a_hostile_name_is_one_printable_attribute(receiver, reader):
    sender = Sender(receiver.url)
    assert sender.send_metrics(reader, time.time_ns())
    sender.close()
    names = {dict(labels).get("network.interface.name") for _, labels in receiver.points()} - {None}
    assert names == {HOSTILE.replace("\n", "\\n").replace("\x1b", "\\x1b")}


def test_each_signal_and_finding_is_sent_once(receiver, reader):
    sender = Sender(receiver.url)
    assert sender.send_logs(reader, 0)
    assert sender.send_logs(reader, 0)
    sender.close()
    said = [(record.event_name, record.body.string_value, record.severity_text) for record in receiver.records()]
    assert sorted(said) == [
        ("kernelsight.finding", "disk saturation by process scan (75% sure)", "ERROR"),
        ("kernelsight.signal", "over", "ERROR"),
        ("kernelsight.signal", "tasks stall", "ERROR"),
    ]


def test_what_a_receiver_cannot_take_for_the_moment_is_sent_again(receiver, reader):
    receiver.answers = [503]
    sender = Sender(receiver.url)
    assert sender.send_logs(reader, 0)
    sender.close()
    assert len(receiver.records()) == 3


@pytest.mark.parametrize("code", [400, 301, 307])
def test_what_a_receiver_refuses_is_said_and_sent_with_the_next_round(receiver, reader, code):
    receiver.answers = [code]
    sender = Sender(receiver.url)
    assert not sender.send_logs(reader, 0)
    assert receiver.records() == []
    assert sender.send_logs(reader, 0)
    sender.close()
    assert len(receiver.records()) == 3


def test_the_command_sends_a_round(receiver, tmp_path):
    path = store_of(tmp_path / "db", lately())
    ran = CliRunner().invoke(
        main, ["otlp", "--db-path", path, "--endpoint", receiver.url, "--once", "--interval", "60"]
    )
    assert (ran.exit_code, ran.output) == (0, "")
    assert ("system.memory.limit", ()) in receiver.points()
    assert len(receiver.records()) == 2  # the third is older than the interval before the start


def test_the_command_says_that_a_round_was_not_taken(receiver, tmp_path):
    receiver.answers = [400, 400]
    path = store_of(tmp_path / "db", lately())
    ran = CliRunner().invoke(
        main, ["otlp", "--db-path", path, "--endpoint", receiver.url, "--once", "--interval", "60"]
    )
    assert ran.exit_code == 1
    assert "does not take what is sent" in ran.output


def test_the_endpoint_is_a_url(path):
    ran = CliRunner().invoke(main, ["otlp", "--endpoint", "localhost:4318", "--db-path", path])
    assert ran.exit_code == 2
    assert "such as http://localhost:4318" in ran.output


def test_every_convention_names_a_column_of_a_sampled_kind():
    from kernelsight.surfaces.exports.families import exported, families

    known = {(kind.struct.__name__, family.column) for kind in exported() for family in families(kind)}
    assert set(CONVENTIONS) <= known
