"""What clients of a service feel is what the collector says: the requests, how long they take, and who waits."""

import socket
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from observed import observe, within
from own_network import in_own_network

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf import service
from kernelsight.collectors.bpf.abi import kernel_knows
from kernelsight.collectors.bpf.histogram import COARSE, FINE
from kernelsight.collectors.bpf.service import Services
from kernelsight.collectors.bpf.service_places import address, unix_name
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.service import Service, ServiceEdge, ServiceStats

PROGRAM = Path(__file__).parent / "programs" / "services.py"
NOW = 1_800_000_000_000_000_000
DELAY_US = 5000
STANDS_FOR = 8
"""Requests for which one stands that is timed, of a connection that has very many."""
LEAST_US, MOST_US = DELAY_US * 0.97, DELAY_US * 3  # a server waits for a CPU, too

sees_services = pytest.mark.skipif(
    not kernel_knows("btf_trace_sk_data_ready"), reason="this kernel has no tracepoint sk_data_ready"
)


class Scene:
    """What the program said and what the collector did."""

    def __init__(self, name, command=None):
        observed = observe([Services], *(command or (sys.executable, PROGRAM, name)))
        self.truth = observed.one_said("scene")
        self.lost = observed.lost
        where = {} if self.truth.port is None else {"port": self.truth.port}
        self.services = observed.of(Service, **where)
        self.stats = observed.of(ServiceStats, **where)
        self.edges = observed.of(ServiceEdge, pid=self.truth.client)
        self.observed = observed
        if self.truth.port is None:
            self.stats = [row for row in self.stats if row.protocol == "unix" and row.pid == self.truth.server]

    def total(self, column, rows="stats"):
        return sum(getattr(row, column) or 0 for row in getattr(self, rows))

    def busiest(self, rows="stats"):
        return max(getattr(self, rows), key=lambda row: row.latency_count or 0)

    def oldest(self, rows="stats"):
        return max(getattr(self, rows), key=lambda row: row.oldest_unanswered_ms or 0)


@pytest.mark.root
@sees_services
@pytest.mark.parametrize("name", ["service", "service6", "path", "abstract"])
def test_every_request_is_counted_and_the_servers_own_time_is_the_time_it_takes(name):
    scene = Scene(name)
    assert scene.lost == 0
    assert scene.total("requests") == scene.total("answers") == scene.truth.requests
    assert within(scene.total("latency_count"), scene.truth.requests, slack=STANDS_FOR)
    busiest = scene.busiest()
    assert LEAST_US <= busiest.service_p50_us <= MOST_US
    assert busiest.queue_p50_us < DELAY_US / 2
    assert busiest.latency_p50_us <= busiest.latency_p95_us <= busiest.latency_p99_us <= busiest.latency_max_us
    assert (busiest.pid, busiest.comm) == (scene.truth.server, "python")


@pytest.mark.root
@sees_services
@pytest.mark.parametrize("name", ["service", "path"])
def test_the_clients_view_is_what_the_client_measures(name):
    scene = Scene(name)
    assert scene.total("requests", "edges") == scene.total("answers", "edges") == scene.truth.requests
    mean_ms = scene.total("latency_us", "edges") / scene.total("latency_count", "edges") / 1000
    # The client's own figure has its way through the interpreter and to the CPU in it, which may be long.
    assert DELAY_US / 1000 <= mean_ms <= 1.05 * scene.truth.mean_ms
    assert LEAST_US / 1000 <= scene.busiest("edges").latency_p50_us / 1000 <= 1.05 * scene.truth.median_ms
    assert {row.server_pid for row in scene.edges if row.requests} == {scene.truth.server}
    assert all(row.is_local for row in scene.edges)


@pytest.mark.root
@sees_services
def test_what_waits_to_be_read_is_queue_and_not_service():
    busiest = Scene("queue").busiest()
    assert LEAST_US <= busiest.queue_p50_us <= MOST_US
    assert busiest.service_p50_us < DELAY_US / 2


@pytest.mark.root
@sees_services
def test_answers_that_are_there_at_once_are_counted_too():
    scene = Scene("fast")
    assert scene.total("requests") == scene.total("answers") == scene.truth.requests
    assert scene.total("requests", "edges") == scene.total("answers", "edges") == scene.truth.requests
    assert within(scene.total("latency_count"), scene.truth.requests, share=0.05, slack=STANDS_FOR)


@pytest.mark.root
@sees_services
def test_a_stopped_server_has_not_read_what_is_asked_of_it():
    scene = Scene("stopped")
    oldest = scene.oldest()
    assert oldest.oldest_unanswered_ms > 1000
    assert (oldest.in_flight, oldest.unread, oldest.oldest_is_read) == (1, 1, False)
    assert (oldest.oldest_pid, oldest.oldest_client_pid) == (scene.truth.server, scene.truth.client)
    edge = scene.oldest("edges")
    assert edge.oldest_unanswered_ms > 1000
    assert (edge.in_flight, edge.server_pid, edge.is_local) == (1, scene.truth.server, True)
    assert scene.total("abandoned") == 1


@pytest.mark.root
@sees_services
@pytest.mark.parametrize("name", ["silent", "unix-silent"])
def test_a_server_that_has_read_a_request_and_does_not_answer_is_named(name):
    scene = Scene(name)
    oldest = scene.oldest()
    assert oldest.oldest_unanswered_ms > 1000
    assert (oldest.in_flight, oldest.unread, oldest.oldest_is_read) == (1, 0, True)
    assert (oldest.oldest_pid, oldest.oldest_client_pid) == (scene.truth.server, scene.truth.client)
    assert scene.oldest("edges").oldest_unanswered_ms > 1000


@pytest.mark.root
@sees_services
def test_who_only_reports_waits_for_nothing():
    scene = Scene("one-way")
    assert scene.stats[-1].in_flight == 0
    assert {row.streams for row in scene.stats if row.connections} == {1}
    assert all(row.oldest_unanswered_ms is None for row in (*scene.stats[1:], *scene.edges[1:]))
    assert scene.total("bytes_in") == scene.total("bytes_sent", "edges") == 400
    assert scene.total("latency_count") == 0
    assert all(row.latency_p50_us is None for row in scene.stats)


@pytest.mark.root
@sees_services
def test_requests_that_overlap_lose_no_bytes_and_no_answer_is_before_its_request():
    scene = Scene("pipelined")
    assert scene.total("bytes_in") == scene.total("bytes_out") == scene.truth.bytes
    assert 0 < scene.total("requests") == scene.total("answers") <= 300
    assert all(row.latency_p50_us is None or 0 < row.latency_p50_us < 20_000 for row in scene.stats)


@pytest.mark.root
@sees_services
def test_clients_of_other_machines_are_told_by_their_address():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP).close()
    except OSError:
        pytest.skip("this kernel has no MPTCP, whose sockets are clients that are not seen")
    scene = Scene("elsewhere")
    edges = scene.observed.of(ServiceEdge, port=scene.truth.port)
    assert {(row.pid, row.client_address, row.latency_p50_us) for row in edges} == {(None, "127.0.0.1", None)}
    assert sum(row.requests for row in edges) == sum(row.answers for row in edges) == 20
    assert {row.server_pid for row in edges} == {scene.truth.server}


@pytest.mark.root
@sees_services
def test_what_is_read_past_the_hooks_is_not_said_to_be_unread():
    scene = Scene("spliced")
    assert (scene.total("requests"), scene.total("answers")) == (20, 19)
    assert scene.total("latency_count") == 0
    assert all(not row.unread and row.oldest_unanswered_ms is None for row in scene.stats)
    assert scene.oldest("edges").oldest_unanswered_ms > 1000


@pytest.mark.root
@sees_services
def test_datagrams_are_timed_as_their_client_times_them():
    scene = Scene("datagrams")
    assert scene.total("requests") == scene.total("answers") == scene.truth.requests
    assert scene.total("answers", "edges") == scene.truth.requests
    assert 0.97 * 2 <= scene.busiest("edges").latency_p50_us / 1000 <= 1.05 * scene.truth.median_ms
    assert {row.protocol for row in scene.stats} == {"udp"}
    assert all(row.connections is None and row.backlog is None and row.abandoned is None for row in scene.stats)


@pytest.mark.root
@sees_services
def test_a_client_that_gets_no_datagram_back_waits():
    scene = Scene("silent-datagrams")
    edge = scene.oldest("edges")
    assert edge.oldest_unanswered_ms > 1000
    assert (edge.protocol, edge.address, edge.port) == ("udp", "127.0.0.1", scene.truth.port)
    assert (edge.in_flight, edge.answers, edge.is_local) == (1, 0, True)
    # That server may be one that never answers anybody, as one of logs.
    assert all(row.oldest_unanswered_ms is None for row in scene.stats)


@pytest.mark.root
@sees_services
def test_what_is_refused_reset_or_not_accepted_is_counted():
    scene = Scene("refused")
    edges = {port: [row for row in scene.edges if row.port == port] for port in {row.port for row in scene.edges}}
    assert sum(row.refused or 0 for row in edges[scene.truth.nobody]) == 5
    assert scene.total("resets_received") == 4
    connecting = edges[scene.truth.full]
    assert max(row.connecting or 0 for row in connecting) == 2
    assert max(row.oldest_unanswered_ms or 0 for row in connecting) > 1000
    full = scene.observed.of(ServiceStats, port=scene.truth.full)
    assert max(row.accept_queue or 0 for row in full) == 2
    assert {row.backlog for row in full if row.accept_queue} == {1}
    assert sum(row.refused or 0 for row in full) >= 1


@pytest.mark.root
@sees_services
def test_services_of_other_network_namespaces_are_seen():
    scene = Scene("service", in_own_network("services.py", "service", "own-network"))
    assert {row.netns for row in (*scene.stats, *scene.services)} == {scene.truth.netns}
    assert scene.truth.netns != Path("/proc/self/ns/net").stat().st_ino
    assert scene.total("answers") == scene.truth.requests


@pytest.mark.root
@sees_services
def test_connections_that_were_there_before_are_known_for_what_they_are():
    watcher = Path(__file__).parent / "programs" / "watch_services.py"
    observed = observe([], sys.executable, PROGRAM, "late", watcher)
    truth = observed.one_said("scene")
    stats = [row for row in truth.events if row["kind"] == "ServiceStats"]
    edges = [row for row in truth.events if row["kind"] == "ServiceEdge" and row["pid"] == truth.client]
    assert sum(row["requests"] for row in stats) == sum(row["answers"] for row in stats) == 50
    assert sum(row["answers"] for row in edges) == 50
    assert {row["server_pid"] for row in edges if row["requests"]} == {truth.server}


@pytest.mark.root
@sees_services
def test_the_inventory_names_who_listens_and_hostile_names_stay_text():
    scene = Scene("path")
    (name,) = {row.address for row in scene.stats}
    assert name.endswith("/a\nb\x1b[31m")
    listed = [row for row in scene.observed.of(Service, protocol="unix") if row.address == name]
    assert {(row.port, row.netns, row.backlog, row.sockets) for row in listed} == {(None, None, 16, 1)}
    assert {row.comm for row in listed} == {"python"}


@pytest.mark.root
@sees_services
def test_a_service_for_which_there_is_no_room_is_counted(monkeypatch):
    whole = service.Object

    def small(*arguments, **more):
        return whole(*arguments, **more, max_entries={"services": 1, "edges": 1})

    monkeypatch.setattr(service, "Object", small)
    with closing(Services(Host())) as first:
        with suppress(OSError):  # another service of this machine has the room already
            first._services.update(bytes(first._services.key_size), bytes(first._services.value_size))
        subprocess.run([sys.executable, PROGRAM, "fast"], check=True, stdout=subprocess.DEVNULL, timeout=30)
        assert first.lost > 0
        list(first.collect(NOW))


def test_a_kernel_without_the_hooks_is_said(monkeypatch):
    monkeypatch.setattr(
        service, "kernel_knows", lambda name: name != "btf_trace_sock_recv_length" and "inet6" not in name
    )
    monkeypatch.setattr(service, "KERNEL_BTF", Path("/proc/self/status"))
    with pytest.raises(
        SourceUnavailableError,
        match=r"no tracepoint sock_recv_length and no function inet6_recvmsg, inet6_sendmsg; use Linux 6\.3",
    ):
        Services(Host())


@pytest.mark.parametrize("scale", [FINE, COARSE])
def test_a_value_is_within_its_bucket_and_near_its_middle(scale):
    last = -1
    for bucket in range(scale.buckets):
        low, high = scale.lower_bound(bucket), scale.lower_bound(bucket + 1)
        assert low > last
        if bucket >= scale.per_octave:
            assert (high - low) / 2 <= low / (2 * scale.per_octave)
        last = low


def test_places_are_written_as_people_write_them():
    assert address(2, bytes([127, 0, 0, 1]) + bytes(12)) == "127.0.0.1"
    assert address(10, bytes(15) + b"\x01") == "::1"
    assert address(10, bytes(10) + b"\xff\xff" + bytes([10, 1, 2, 3])) == "10.1.2.3"
    assert address(0, bytes(16)) is None
    assert unix_name(b"/run/a.sock\0rest") == "/run/a.sock"
    assert unix_name(b"\0name") == "@name"
    assert unix_name(b"/\xff") == "/\\xff"
