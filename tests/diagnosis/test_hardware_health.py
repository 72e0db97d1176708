"""Hardware that is worse than it was: links that go, CPUs that are too hot or may not run as fast as they can."""

from scenes import END, FROM, LENGTH, SECOND, START, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import grounded
from kernelsight.events.hardware import CpuSpeed, Link
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.network import Network
from kernelsight.events.scheduler import Cpu
from kernelsight.events.tcp import TcpRetransmitEvent


def link(second, downs, *, ups=1, is_up=True, operstate="up"):
    return Link(START + second * SECOND + 3, "eth0", is_up, operstate, ups, downs)


def traffic(per_s=50):
    for second in range(LENGTH):
        packets = per_s * min(second, FROM)
        yield Network(START + second * SECOND + 4, "eth0", rx_packets=packets, tx_packets=packets)


def retransmits():
    for second in range(FROM + 1, LENGTH, 3):
        yield TcpRetransmitEvent(
            START + second * SECOND, state="established", interface_name="eth0", segments=2, pid=70, comm="client"
        )


def busy(share):
    for second in range(LENGTH):
        ticks = int(400 * share * second)
        yield Cpu(
            START + second * SECOND + 2, cpu=-1, user=ticks, idle=400 * second - ticks, nice=0, system=0, iowait=0,
            irq=0, softirq=0, steal=0,
        )  # fmt: skip


def speeds(*, limit_khz=lambda _: 3_000_000, throttles=lambda _: 0):
    for second in range(0, LENGTH, 5):
        yield CpuSpeed(
            START + second * SECOND + 6, cpu=0, limit_khz=limit_khz(second), hardware_khz=3_000_000,
            core_throttles=throttles(second), core_throttled_ms=400 * throttles(second),
        )  # fmt: skip


def found(tmp_path, *events):
    tmp_path.mkdir(exist_ok=True)
    ordinary = used(70, "client", 10, 1)
    database = stored(tmp_path / "db", [*ordinary, *(event for several in events for event in several)])
    answer = diagnose(database, START, END)
    assert all(grounded(database, finding) for finding in answer.findings)
    return [(finding.fault, finding.culprit.name) for finding in answer.findings], answer


LOST = [link(0, 0), link(FROM, 1, operstate="down"), link(LENGTH - 2, 1, operstate="down")]


def test_a_link_that_goes_is_found_with_those_who_send_again(tmp_path):
    said = KernelMessage(
        START + FROM * SECOND, message_kind="link_down", from_kernel=True, interface_name="eth0", count=1,
        text="e1000e 0000:00:1f.6 eth0: NIC Link is Down",
    )  # fmt: skip
    faults, answer = found(tmp_path, LOST, traffic(), retransmits(), [said])
    assert faults == [("packet_loss", "eth0")]
    (finding,) = answer.findings
    assert [victim.name for victim in finding.victims] == ["client"]
    assert any(
        "eth0 lost its link 1 times while it should be up, and has none now" in step.claim for step in finding.path
    )
    assert any("NIC Link is Down" in step.claim for step in finding.path)


def test_links_that_nobody_used_that_came_back_or_that_somebody_took_down_are_no_faults(tmp_path):
    fine = {
        "unused": (LOST, traffic(0)),
        "back": ([link(0, 0), link(FROM, 1, operstate="down"), link(LENGTH - 2, 1, ups=2)], traffic()),
        "by hand": ([link(0, 0), link(FROM, 1, is_up=False, operstate="down")], traffic()),
        "removed": (LOST[:2], traffic()),
    }
    for name, events in fine.items():
        assert found(tmp_path / name, *events)[0] == [], name


def test_cpus_that_are_too_hot_are_found_where_they_have_work(tmp_path):
    hot = {"throttles": lambda second: 3 * max(0, second - FROM)}
    assert found(tmp_path / "busy", speeds(**hot), busy(0.9))[0] == [("cpu_throttling", "heat of the CPUs")]
    assert found(tmp_path / "idle", speeds(**hot), busy(0.1))[0] == []
    once = {"throttles": lambda second: int(second > FROM)}
    assert found(tmp_path / "once", speeds(**once), busy(0.9))[0] == []


def test_a_limit_of_the_frequency_that_was_lowered_is_found_and_one_by_intention_is_none(tmp_path):
    lowered = {"limit_khz": lambda second: 3_000_000 if second < FROM else 1_200_000}
    faults, answer = found(tmp_path / "lowered", speeds(**lowered), busy(0.9))
    assert faults == [("cpu_throttling", "scaling_max_freq")]
    assert "CPU 0 may run at 1.2 GHz, of the 3.0 GHz that the hardware can" in answer.findings[0].path[0].claim
    assert found(tmp_path / "idle", speeds(**lowered), busy(0.1))[0] == []
    assert found(tmp_path / "always", speeds(limit_khz=lambda _: 1_200_000), busy(0.9))[0] == []
