"""`kernelsight start` on the machine itself: everything is stored, nothing is left running."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from processes import PATIENCE_S, alive, ask, child, children, environment, kernelsight, rows, running, until

from kernelsight.collectors.privileges import BPF

pytestmark = pytest.mark.slow

# What every Linux has; further tables depend on the kernel's configuration.
ALWAYS = (
    "memory_metrics",
    "vm_activity",
    "load_metrics",
    "cpu_stats",
    "network_interface_stats",
    "tcp_stats",
    "tcp_retransmit_stats",
    "process_stats",
    "filesystem_stats",
)
WHERE_THERE_IS = {
    "pressure_stall": "/proc/pressure/cpu",
    "block_stats": "/sys/block/*",
    "cgroup_stats": "/sys/fs/cgroup/*",
}


def tables_here():
    return [*ALWAYS, *(table for table, path in WHERE_THERE_IS.items() if any(Path("/").glob(path[1:])))]


@pytest.fixture
def database(tmp_path):
    return tmp_path / "data" / "kernelsight.db"


def start(database, *options):
    return running("start", "--no-agent", "--db-path", database, *options)


def wait_for_rows(database, table="load_metrics", more_than=0):
    return until(lambda: rows(database, table) > more_than, f"rows in {table}")


def assert_everything_is_stored(database):
    """What the collectors say they wrote is what the books say was read, and what the tables hold."""
    lines, stored, lost = ask(
        database, "SELECT sum(lines), sum(stored), sum(rejected + dropped + in_memory) FROM collectors"
    )[0]
    assert (lines, lost) == (stored, 0)
    written = ask(
        database, "SELECT sum(events) FROM (SELECT max(events) AS events FROM collector_reports GROUP BY name)"
    )
    reports = rows(database, "collector_reports")
    agents = sum(rows(database, table) for table in ("actions", "diagnoses", "forecasts"))
    assert written[0][0] + reports + agents == stored


def test_a_run_leaves_every_second_in_every_table(database):
    with start(database, "--duration", "5") as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    for table in tables_here():
        moments = ask(database, f"SELECT count(DISTINCT timestamp) FROM {table}")[0][0]
        assert moments == 5, f"{table} has {moments} moments; {err}"
    assert_everything_is_stored(database)
    # Requests that were under way when the tracers came are lost to them; nothing else is.
    assert re.search(r"events stored, (nothing rejected or dropped|[\d,]+ lost in the kernel);", out), out
    stored = ask(database, "SELECT sum(stored) FROM collectors")[0][0]
    assert f"{stored:,} events stored" in out
    header, *summary = out.splitlines()
    assert header.startswith("KernelSight → ")
    assert len(summary) == 3
    assert summary[0].startswith("No verdict: the agent does not run")
    assert summary[2].startswith("next: ")


def test_the_next_commands_can_be_typed_wherever_the_program_is(database):
    program = (
        "import sys; sys.argv[0] = '/opt/the system/kernelsight';"
        "from kernelsight.surfaces.cli.main import main; main(sys.argv[1:], prog_name='kernelsight')"
    )
    command = [sys.executable, "-c", program, "start", "load", "--duration", "0.5", "--db-path", str(database)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    typed = done.stdout.splitlines()[-1].removeprefix("next:").partition("   or:")[0]
    name, *rest = shlex.split(typed)
    assert Path(name).resolve() == Path("/opt/the system/kernelsight")
    assert rest == ["status", "--db-path", str(database)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_everything_and_stores_everything(database, number):
    with start(database) as process:
        wait_for_rows(database)
        parts = until(lambda: children(process.pid), "the parts")
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert not any(map(alive, parts))
    assert_everything_is_stored(database)


def test_nothing_survives_the_supervisor(database):
    with start(database) as process:
        wait_for_rows(database)
        parts = until(lambda: children(process.pid), "the parts")
        assert len(parts) == 3, "collect, ingest, watch"
        process.kill()
        until(lambda: not any(map(alive, parts)), "the end of the parts")
    assert_everything_is_stored(database)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which is what the collectors are to give up")
def test_collectors_that_root_starts_keep_no_more_than_they_need(database):
    with start(database, "syscall", "load") as process:
        wait_for_rows(database)
        kept = held(child(process.pid, "collect"))
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert kept <= {*BPF}
    assert_everything_is_stored(database)


def held(pid):
    """The capabilities that any thread of a process holds."""
    tasks = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/status")]
    bits = [int(re.search(r"^CapPrm:\t(\w+)$", status, re.MULTILINE)[1], 16) for status in tasks]
    return {bit for word in bits for bit in range(64) if word >> bit & 1}


def test_a_collector_process_that_dies_is_started_again(database):
    with start(database) as process:
        wait_for_rows(database)
        first = until(lambda: child(process.pid, "collect"), "the collectors")
        wait_for_rows(database, more_than=6)  # a part that dies sooner never came up, and is not started again
        os.kill(first, signal.SIGKILL)
        second = until(lambda: child(process.pid, "collect"), "the new collectors")
        assert second != first
        wait_for_rows(database, more_than=rows(database, "load_metrics"))
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "collect was ended by SIGKILL; starting it again" in err
    assert ask(database, "SELECT count(*) FROM rejected_events")[0][0] == 0


def test_a_daemon_that_dies_is_started_again_and_goes_on_reading(database):
    with start(database) as process:
        wait_for_rows(database)
        os.kill(until(lambda: child(process.pid, "ingest"), "the daemon"), signal.SIGKILL)
        wait_for_rows(database, more_than=rows(database, "load_metrics"))
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "ingest was ended by SIGKILL; starting it again" in err
    assert ask(database, "PRAGMA integrity_check") == [("ok",)]


def test_a_second_start_is_refused_with_the_pid_of_the_first(database):
    with start(database) as first:
        wait_for_rows(database)
        daemon = child(first.pid, "ingest")
        second = kernelsight("start", "--db-path", database)
        assert second.returncode == 1
        assert f"process {daemon} is writing to it" in second.stderr
        assert "Traceback" not in second.stderr
        # The first has not noticed.
        wait_for_rows(database, more_than=rows(database, "load_metrics"))


def test_a_database_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    refused = kernelsight("start", "--db-path", tmp_path / "file" / "kernelsight.db")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert str(tmp_path / "file") in refused.stderr


def test_a_policy_that_cannot_be_read_is_said_before_anything_runs(database, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text("[renice]\nmode = 'sometimes'\n")
    refused = kernelsight("start", "--db-path", database, "--policy", policy)
    assert refused.returncode != 0
    assert str(policy) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not database.exists()


def test_an_agent_that_keeps_failing_is_started_again_and_ends_nothing_else(database):
    with running("start", "--db-path", database, "--agent-interval", "1") as process:
        wait_for_rows(database)
        for _ in range(2):
            agent = until(lambda: child(process.pid, "agent"), "the agent")
            os.kill(agent, signal.SIGKILL)
            until(lambda gone=agent: not alive(gone), "its end")
        wait_for_rows(database, more_than=rows(database, "load_metrics"))
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert err.count("agent was ended by SIGKILL; starting it again") == 2


def test_when_nobody_reads_what_it_says_it_ends_in_order(database):
    with start(database) as process:
        assert process.stdout.readline().startswith("KernelSight")
        wait_for_rows(database)
        parts = until(lambda: children(process.pid), "the parts")
        process.stdout.close()
        process.stdout = None
        process.wait(timeout=PATIENCE_S)
        assert not any(map(alive, parts))
        assert process.stderr.read().count("Traceback") == 0
    assert_everything_is_stored(database)


def test_the_agent_is_a_part_that_looks_and_records(database):
    with running("start", "--db-path", database, "--agent-interval", "2") as process:
        agent = until(lambda: child(process.pid, "agent"), "the agent")
        until(lambda: rows(database, "diagnoses"), "its first look is in the store", patience_s=30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "the agent observes; --policy FILE lets it do more" in out
    assert "agent: the policy is to observe" in err
    assert not alive(agent)
    assert not rows(database, "actions")
    assert_everything_is_stored(database)


def test_a_person_on_a_terminal_sees_what_happens(database):
    ours, theirs = terminal(rows=24, columns=80)
    with running(
        "start", "--db-path", database, "--agent-interval", "2", stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, env=environment(TERM="xterm", COLUMNS="80", LINES="24"),
    ) as process:  # fmt: skip
        os.close(theirs)
        read_until(ours, r"collectors run: [^:]*\bload\b[^:]*\bvmstat\b")
        seen = read_until(ours, r"(Healthy since |Not known at | sure\b)[^…]*Ctrl-C stops")
        panel = seen[seen.rindex("KernelSight → ") :].splitlines()
        assert len(panel) < 24
        assert max(map(len, panel)) <= 80
        assert "events/s" in seen
        assert "the agent observes" in seen
        process.send_signal(signal.SIGINT)
        seen = read_until(ours, r"next:  ")
        assert process.wait(timeout=PATIENCE_S) == 0
    assert "events stored" in seen
    assert_everything_is_stored(database)


def terminal(*, rows, columns):
    """The two ends of a terminal of this size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return ours, theirs


def read_until(terminal, pattern):
    """What a terminal shows, until it shows this, without what only moves the cursor or colours."""
    text = ""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                text += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # the other side is closed
                break
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
        if re.search(pattern, plain):
            return plain
    raise AssertionError(f"{pattern} was not shown, but {text[-3000:]}")
