"""What healthy machines do that looks like a fault, by the kinds of work that do it."""

import msgspec
import pytest
import test_connections as connections
import test_crash_loop as crash_loop
import test_gc as gc
import test_hardware_health as hardware
import test_machine_classes as machine
from scenes import LENGTH, SECOND, START

from kernelsight.events.hardware import Link
from kernelsight.events.network import Network
from kernelsight.events.process import Process
from kernelsight.events.scheduler import SchedProcess
from kernelsight.events.service import ServiceEdge


@pytest.mark.parametrize(
    ("comm", "parent", "ending"),
    [
        ("nginx", "systemd", {"signal": 15}),  # systemctl restart, again and again
        ("java", "systemd", {"status": 143}),  # the same: a JVM ends with 128 and the signal
        ("tail", "bash", {"signal": 2}),  # interrupted at a terminal
        ("yes", "supervisord", {"signal": 13}),  # nobody reads any more
    ],
)
def test_who_ends_a_program_as_they_mean_to_says_nothing_against_the_program(tmp_path, comm, parent, ending):
    ends = crash_loop.ends(comm, parent_comm=parent, every=5, lived_s=4, **ending)
    assert crash_loop.found(tmp_path, ends)[0] == []


def test_ends_from_outside_are_not_counted_as_failures_of_a_service_that_fails(tmp_path):
    ended = crash_loop.ends(parent_comm="systemd", signal=15, since=9, until=10)
    faults, answer = crash_loop.found(tmp_path, ended, crash_loop.ends(parent_comm="systemd"))
    assert faults == [("crash_loop", "shop")]
    assert "ended 21 times in 20 s, 20 times with a failure" in answer.findings[0].path[0].claim


def in_containers(group_of):
    """A program that a container's runtime starts again and again."""
    yield Process(START + SECOND, pid=40, ppid=1, comm="containerd-shim", start_ticks=7, state="S", cgroup_id=500)
    for second in range(10, LENGTH, 4):
        for row in crash_loop.ends("curl", parent_comm="containerd-shim", since=second, until=second + 1, status=7):
            yield msgspec.structs.replace(row, cgroup_id=group_of(second))


def test_a_health_check_that_fails_in_a_container_that_lives_on_is_no_service_that_fails(tmp_path):
    assert crash_loop.found(tmp_path / "check", in_containers(lambda _: 600))[0] == []
    again = [("crash_loop", "curl")]
    assert crash_loop.found(tmp_path / "new", in_containers(lambda second: 600 + second))[0] == again
    assert crash_loop.found(tmp_path / "first version", in_containers(lambda _: 500))[0] == again


def bridge(second, downs, operstate, device_type="bridge"):
    return Link(START + second * SECOND + 3, "docker0", True, operstate, downs + 1, downs, device_type)


def carried(interface, per_s):
    packets = 0
    for second in range(LENGTH):
        packets += per_s(second)
        yield Network(START + second * SECOND + 4, interface, rx_packets=packets, tx_packets=packets)


def test_a_bridge_has_no_link_while_no_container_runs(tmp_path):
    rows = [(0, 0, "up"), (10, 1, "down"), (14, 1, "up"), (18, 2, "down"), (29, 2, "down")]
    traffic = [*carried("docker0", lambda second: 50 * (second < 10))]
    assert hardware.found(tmp_path / "bridge", [bridge(*row) for row in rows], traffic)[0] == []
    alone = [bridge(*row, device_type=None) for row in rows]
    assert hardware.found(tmp_path / "alone", alone, traffic)[0] == [("packet_loss", "docker0")]


def test_a_laptop_that_is_taken_from_its_cable_goes_on_by_radio(tmp_path):
    cable = [*carried("eth0", lambda second: 50 * (second < 10))]
    radio = [*carried("wlan0", lambda second: 1 if second < 12 else 40)]
    assert hardware.found(tmp_path / "radio", hardware.LOST, cable, radio)[0] == []
    assert hardware.found(tmp_path / "cable", hardware.LOST, cable)[0] == [("packet_loss", "eth0")]


def test_downloads_from_a_web_server_wait_behind_their_own_data_alone(tmp_path):
    downloads = [
        row
        for client in range(4)
        for row in connections.connection(
            "round_trip", ("10.0.0.1", 443), (f"10.1.{client}.7", 50_000), (50 + client % 2, "web"), is_accepted=True,
            unacknowledged_bytes=200_000, unsent_bytes=0, round_trip_us=400_000, shortest_round_trip_us=30_000,
        )
    ]  # fmt: skip
    assert connections.findings(tmp_path, downloads) == []


def test_two_requests_that_were_lost_far_apart_were_both_made_good(tmp_path):
    lost = [*connections.asked_again(connections.SERVER, seconds=[2, 27])]
    assert connections.findings(tmp_path / "lost", lost) == []
    again = [*connections.asked_again(connections.SERVER, seconds=[2, 20, 22, 26])]
    (one,) = connections.found(tmp_path / "again", again)
    assert "for 7 s" in one.path[0].claim or "3 requests" in one.path[0].claim


def test_of_a_runtime_that_idles_the_rounds_of_its_collector_are_most(tmp_path):
    idles = [
        SchedProcess(
            START + second * SECOND + 7, pid=gc.SHOP, comm="shop", cpu_time_ms=40, runqueue_ms=1, cgroup_id=1,
            voluntary_switches=100, involuntary_switches=1, collector_cpu_ms=34,
        )
        for second in range(LENGTH)
    ]  # fmt: skip
    assert gc.found(tmp_path, idles) == []


def test_where_neither_faults_nor_pressure_are_recorded_nothing_tells_that_compaction_harms_anybody(tmp_path):
    assert machine.findings(tmp_path, machine.compacted(100, huge=60)) == []


def test_links_of_interfaces_without_a_name_end_no_diagnosis(tmp_path):
    rows = [Link(START + second * SECOND, None, True, "down", 1, second) for second in range(LENGTH)]
    assert hardware.found(tmp_path / "odd", rows)[0] == []


def test_who_connects_all_the_time_loses_a_request_now_and_then(tmp_path):
    lost = [*connections.asked_again(connections.SERVER, seconds=range(2, LENGTH, 4))]
    made = [
        ServiceEdge(connections.at(second), 60, "shell", address="10.0.0.2", port=5432, connects=40)
        for second in range(LENGTH)
    ]
    assert connections.findings(tmp_path / "made", lost, made) == []
    before = [row for row in made if row.timestamp < lost[0].timestamp]
    assert connections.findings(tmp_path / "before", lost, before) == connections.UNREACHABLE
