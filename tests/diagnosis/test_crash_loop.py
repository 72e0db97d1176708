"""A service that fails at each start is told from restarts, questions of scripts, jobs, builds and test suites."""

from scenes import END, FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import grounded
from kernelsight.events.memory import Memory, OomKill
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.process import Process
from kernelsight.events.process_exit import ProcessExit
from kernelsight.events.scheduler import Wait
from kernelsight.events.service import Service
from kernelsight.events.syscalls import SyscallError


def ends(
    comm="shop", *, parent=40, parent_comm="sh", since=FROM, every=1, until=LENGTH, status=1, signal=None, lived_s=0.3,
    count=1, executed=True,
):  # fmt: skip
    for second in range(since, until, every):
        yield ProcessExit(
            START + second * SECOND + 5, parent_pid=parent, parent_comm=parent_comm, comm=comm, pid=1000 + second,
            exit_status=None if signal else status, exit_signal=signal, executed=executed, count=count,
            failed=count if status or signal else 0, lifetime_ms=count * lived_s * 1000,
        )  # fmt: skip


def refused(a_second, *, since=FROM):
    for second in range(since, LENGTH):
        yield PacketDrop(START + second * SECOND + 6, reason="NO_SOCKET", interface_name="lo", count=a_second)


def served(pid=999):
    yield Service(START + SECOND, protocol="tcp", address="127.0.0.1", port=80, pid=pid, comm="shop")


def memory():
    for second in range(LENGTH):
        yield Memory(START + second * SECOND + 4, mem_total_kb=1 << 22, mem_available_kb=1 << 21)


def stays(pid):
    for second in range(8, LENGTH):
        yield Process(START + second * SECOND + 5, pid=pid, ppid=40, comm="shop", start_ticks=700, state="S")


def found(tmp_path, *events):
    ordinary = (*cpus(4), *used(70, "other", 10, 1), *memory())
    tmp_path.mkdir(exist_ok=True)
    database = stored(tmp_path / "db", [*ordinary, *(event for several in events for event in several)])
    answer = diagnose(database, START, END)
    assert all(grounded(database, finding) for finding in answer.findings)
    return [(finding.fault, finding.culprit.name) for finding in answer.findings], answer


def test_a_service_that_its_supervisor_starts_again_and_again_is_found(tmp_path):
    for supervisor in ("systemd", "supervisord", "runsv"):
        faults, answer = found(tmp_path / supervisor, ends(parent_comm=supervisor))
        assert faults == [("crash_loop", "shop")]
        assert (
            "shop ended 20 times in 19 s, 20 times with a failure, mostly by status 1"
            in answer.findings[0].path[0].claim
        )
        assert answer.findings[0].onset_ns == START + FROM * SECOND + 5


def test_the_parents_of_containers_differ_each_time(tmp_path):
    shims = [
        end for second in range(FROM, LENGTH, 2)
        for end in ends(parent=300 + second, parent_comm="containerd-shim", since=second, until=second + 1)
    ]  # fmt: skip
    assert found(tmp_path, shims)[0] == [("crash_loop", "shop")]


def test_a_script_that_starts_a_server_again_shows_it_by_what_the_server_does(tmp_path):
    taken = [
        SyscallError(
            START + s * SECOND + 5, pid=1000 + s, comm="shop", syscall_name="bind", error="EADDRINUSE", count=1
        )
        for s in range(FROM, LENGTH)
    ]
    shown = {
        "signal": (ends(signal=11),),
        "cannot run": (ends(status=127, executed=False),),
        "taken": (ends(), taken),
        "served": (ends(since=FROM - 1), served(pid=1000 + FROM - 1)),
        "refused": (ends(), refused(40)),
    }
    for why, events in shown.items():
        assert found(tmp_path / why, *events)[0] == [("crash_loop", "shop")], why


def test_a_supervisor_that_gave_up_leaves_a_service_that_is_down(tmp_path):
    assert found(tmp_path, ends(parent_comm="systemd", since=2, until=7))[0] == [("crash_loop", "shop")]


def test_a_question_that_a_script_asks_until_the_answer_is_yes_is_no_service(tmp_path):
    for name, events in {"alone": (ends("pg_isready"),), "refused": (ends("pg_isready"), refused(2))}.items():
        faults, answer = found(tmp_path / name, *events)
        assert faults == []
        assert any(one.fault == "crash_loop" for one in answer.ruled_out)


def test_clients_that_were_refused_before_say_nothing_of_it(tmp_path):
    assert found(tmp_path, ends(), refused(40, since=0))[0] == []


def test_restarts_by_intention_jobs_of_timers_and_what_has_recovered_are_no_faults(tmp_path):
    fine = {
        "twice": ends(parent_comm="systemd", until=FROM + 2),
        "well": ends(parent_comm="systemd", status=0),
        "recovered": ends(parent_comm="sh", signal=11, since=1, until=6),
        "came up": (*ends(parent_comm="systemd", since=1, until=6), *stays(2000)),
        "beside each other": ends(parent_comm="make", signal=6, count=4, lived_s=2),
        "copies": ends(parent_comm="systemd", executed=False),
    }
    for name, events in fine.items():
        assert found(tmp_path / name, events)[0] == [], name


def test_builds_and_test_suites_run_much_that_fails(tmp_path):
    others = [end for name in ("cc", "ld", "as") for end in ends(name, status=0, count=2)]
    assert found(tmp_path / "build", ends("conftest", signal=6), others)[0] == []
    ways = [end for status in (1, 2, 3) for end in ends(status=status, lived_s=0.2)]
    assert found(tmp_path / "tests", ways, served(pid=1000 + FROM))[0] == []


def test_what_is_killed_for_memory_is_told_as_that(tmp_path):
    kills = [
        OomKill(START + second * SECOND, pid=1000 + second, comm="shop", trigger_comm="shop", cgroup="/shop")
        for second in range(FROM, LENGTH)
    ]
    assert "crash_loop" not in [fault for fault, _ in found(tmp_path, ends(signal=9, parent_comm="systemd"), kills)[0]]


def reads_what_is_typed(comm="bash"):
    for second in range(0, LENGTH, 2):
        yield Wait(
            START + second * SECOND + 7, pid=40, comm=comm, waker_pid=0, waker_context="task", waits_in="read",
            state="interruptible", count=3, wait_ns=SECOND, runqueue_ns=0, max_wait_ns=SECOND, cgroup_id=1,
        )  # fmt: skip


def test_a_program_that_crashes_when_somebody_starts_it_by_hand_is_no_loop(tmp_path):
    crashes = [*ends(parent_comm="bash", signal=11, every=7)]
    assert found(tmp_path / "typed", crashes, reads_what_is_typed())[0] == []
    assert found(tmp_path / "script", crashes)[0] == [("crash_loop", "shop")]
    assert found(tmp_path / "others are refused", crashes, reads_what_is_typed(), refused(40))[0] == []
    served_before = crashes, reads_what_is_typed(), served(pid=1000 + FROM)
    assert found(tmp_path / "server", *served_before)[0] == [("crash_loop", "shop")]


def test_a_job_of_a_timer_that_fails_is_not_surely_a_service(tmp_path):
    faults, answer = found(tmp_path, ends(parent_comm="systemd", since=1, every=10))
    assert faults == [("crash_loop", "shop")]
    assert answer.findings[0].confidence < 0.65


def test_children_that_their_parent_kills_do_not_fail_by_themselves(tmp_path):
    killed = [*ends("python", parent_comm="python", signal=9, every=3)]
    assert found(tmp_path / "tests", killed, served(pid=1000 + FROM))[0] == []
    assert found(tmp_path / "unit", ends(parent_comm="systemd", signal=9, every=3))[0] == [("crash_loop", "shop")]
