"""The commands as processes: what they print, how they fail, how fast they come up."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from processes import COMMAND, PATIENCE_S, ask, environment, kernelsight, rows, running, until

T0 = 1_750_000_000_000_000_000
LINES = [
    {"type": "memory", "timestamp": T0, "mem_total_kb": 1000, "mem_free_kb": 400},
    {"type": "memory", "timestamp": T0 + 1_000_000_000, "mem_total_kb": 1000, "mem_free_kb": 300},
    {"type": "syscall", "timestamp": T0, "pid": 7, "comm": "a\x1b[31m,b", "syscall_name": "read", "latency_ns": 12},
    {"type": "syscall", "timestamp": T0 + 5, "pid": 8, "comm": "[bold]", "syscall_name": "open", "latency_ns": 99},
]


def shell(script, database, **options):
    """Run a line of shell in which $1 is the database and the other arguments are the program."""
    command = ["bash", "-c", script, "bash", str(database), *COMMAND]
    options = {"timeout": PATIENCE_S, "env": environment(), **options}
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def database(tmp_path):
    return tmp_path / "kernelsight.db"


@pytest.fixture
def filled(database):
    lines = "".join(json.dumps(line) + "\n" for line in LINES) + "not json\n"
    done = kernelsight("ingest", "--db-path", database, input=lines)
    assert done.returncode == 0, done.stderr
    return database


def test_help_is_fast_because_no_command_is_imported():
    program = (
        "import sys; from kernelsight.surfaces.cli.main import main\n"
        "try: main(['--help'], prog_name='kernelsight')\n"
        "finally: print([name for name in ('apsw', 'rich', 'kernelsight.query') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    for command in ("collect", "ingest", "query", "start", "status", "version"):
        assert f"\n  {command} " in done.stdout


def test_importing_the_package_imports_nothing_else():
    program = (
        "import sys; before = set(sys.modules); import kernelsight;"
        "print([name for name in set(sys.modules) - before if not name.startswith(('kernelsight', '__future__'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_collect_lists_what_can_run_and_why_the_rest_cannot():
    done = kernelsight("collect", "--list")
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert head.split()[:4] == ["collector", "source", "runs", "here"]
    by_name = {(line.split()[0], line.split()[1]): line.split(None, 3) for line in lines}
    assert by_name["load", "procfs"][2] == "yes"
    assert "load_metrics" in by_name["load", "procfs"][3]
    for name, words in by_name.items():
        assert words[2] in {"yes", "no"}, name
        assert len(words[3].split()) > 1, f"{name} does not say what or why"


def test_collect_prints_events_on_a_grid():
    done = kernelsight("collect", "load", "memory", "--interval", "0.2", "--duration", "1")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    stamps = [event["timestamp"] for event in events if event["type"] == "load"]
    assert stamps == [event["timestamp"] for event in events if event["type"] == "memory"]
    assert 1 <= len(stamps) <= 5


def test_collect_ends_on_a_signal_with_its_last_line_whole():
    with running("collect", "load", "--interval", "0.05") as process:
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        rest, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert [json.loads(line) for line in (first + rest).splitlines()]
    assert rest.endswith("\n")


def test_collect_into_a_closed_pipe_is_quiet():
    shell = '"$@" collect load --interval 0.05 | head -n 1'
    done = subprocess.run(
        ["bash", "-c", shell, "bash", *COMMAND], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.stderr == ""
    assert json.loads(done.stdout)["type"] == "load"


def test_rows_into_a_closed_pipe_are_quiet(filled):
    many = "".join(json.dumps({**LINES[0], "timestamp": T0 + n}) + "\n" for n in range(20_000))
    assert kernelsight("ingest", "--db-path", filled, input=many).returncode == 0
    shell = '"$@" | head -n 1'
    query = ["query", "range", "memory", "--since", "2025-01-01", "--limit", "20000", "--db-path", str(filled)]
    done = subprocess.run(
        ["bash", "-c", shell, "bash", *COMMAND, *query],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=environment(),
    )
    assert done.stderr == ""
    assert done.stdout.startswith("timestamp") or done.stdout.startswith("id")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["collect", "nonsense"], 2, "nonsense"),
        (["collect", "--list", "nonsense"], 2, "nonsense"),
        (["collect", "load", "--interval", "0"], 2, "interval"),
        (["collect", "load", "-o", "novalue"], 2, "NAME=VALUE"),
        (["status", "--db-path", "/nonexistent/x.db"], 1, "/nonexistent/x.db"),
        (["query", "range", "memory", "--db-path", "/nonexistent/x.db"], 1, "/nonexistent/x.db"),
        (["start", "--duration", "0"], 2, "--duration"),
        (["start", "--duration", "nan"], 2, "--duration"),
        (["start", "--interval", "0"], 2, "--interval"),
        (["collect", "load", "--duration", "inf"], 2, "--duration"),
        (["ingest", "--batch-size", "0"], 2, "--batch-size"),
        (["ingest", "--batch-timeout", "nan"], 2, "--batch-timeout"),
        (["ingest", "--batch-timeout", "1e400"], 2, "--batch-timeout"),
        (["ingest", "--db-path", "/dev/null"], 1, "/dev/null: is not an ordinary file"),
        (["ingest", "--db-path", "/usr"], 1, "/usr: is a directory; name a file"),
        (["status", "--db-path", "/usr"], 1, "/usr: is a directory; name a file"),
        (["ingest", "--db-path", "/nonexistent/"], 1, "is a directory; name a file"),
        (["ingest", "--db-path", "x" * 300], 1, "File name too long; name a file"),
        (["ingest", "--db-path", "d\udcffb.db"], 1, "names are UTF-8"),
        (["ingest", "--db-path", "~nobody there/x.db"], 1, "name a file"),
        (["agent", "audit", "verify", "--db-path", "~nobody there/x.db"], 3, "name a file"),
        (["agent", "--db-path", "~nobody there/x.db", "audit", "verify"], 3, "name a file"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_what_cannot_be_done_is_said_on_stderr_without_a_traceback(arguments, code, said):
    done = kernelsight(*arguments, stdin=subprocess.DEVNULL)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["range", "nonsense"], "nonsense"),
        (["range", "memory", "--since", "nonsense"], "nonsense"),
        (["range", "memory", "--where", "nonsense"], "nonsense"),
        (["range", "memory", "--columns", "nonsense"], "nonsense"),
        (["top", "memory", "nonsense"], "nonsense"),
    ],
)
def test_a_question_that_makes_no_sense_is_a_usage_error(filled, arguments, said):
    done = kernelsight("query", *arguments, "--db-path", filled)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_rows_come_out_as_json_csv_and_table(filled):
    since = ["--since", "2025-01-01", "--db-path", filled]
    as_json = kernelsight("query", "range", "memory", "--format", "json", *since)
    found = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert [row["mem_free_kb"] for row in found] == [400, 300]
    as_csv = kernelsight("query", "range", "memory", "--format", "csv", "--columns", "mem_free_kb", *since)
    assert as_csv.stdout.splitlines()[0] == "timestamp,time,mem_free_kb"
    assert len(as_csv.stdout.splitlines()) == 3
    as_table = kernelsight("query", "range", "memory", "--columns", "mem_free_kb", *since)
    assert as_table.stdout.splitlines()[0].split() == ["timestamp", "time", "mem_free_kb"]


def test_text_from_the_kernel_cannot_command_the_terminal(filled):
    done = kernelsight("query", "top", "syscall", "latency_ns", "--since", "2025-01-01", "--db-path", filled)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "a\\x1b[31m,b" in done.stdout
    assert "[bold]" in done.stdout


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_what_a_terminal_cannot_say_is_written_with_backslashes(database, form):
    line = json.dumps({**LINES[2], "comm": "p→q"})
    assert kernelsight("ingest", "--db-path", database, input=line).returncode == 0
    latin = {"env": environment(PYTHONIOENCODING="latin-1")}
    done = kernelsight(
        "query", "range", "syscall", "--since", "2025-01-01", "--format", form, "--db-path", database, **latin
    )
    assert done.returncode == 0, done.stderr
    assert ("p→q" if form == "json" else "p\\u2192q") in done.stdout


def test_an_empty_answer_is_no_error_and_says_so_on_stderr(filled):
    done = kernelsight("query", "range", "tcp", "--db-path", filled)
    assert (done.returncode, done.stdout) == (0, "")
    assert "no rows of tcp" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["series", "memory", "mem_free_kb"],
        ["aggregate", "memory", "mem_free_kb", "--functions", "max"],
        ["percentiles", "memory", "mem_free_kb", "-p", "100"],
        ["top", "memory", "mem_free_kb", "-n", "1"],
    ],
)
def test_every_question_finds_the_greatest_value(filled, arguments):
    done = kernelsight("query", *arguments, "--since", "2025-01-01", "--db-path", filled, "--format", "json")
    assert done.returncode == 0, done.stderr
    values = [value for line in done.stdout.splitlines() for value in json.loads(line).values()]
    assert 400 in values


def test_around_shows_all_tables_near_a_moment(filled):
    done = kernelsight("query", "around", T0, "--db-path", filled, "--json")
    found = json.loads(done.stdout)
    assert {near["table"]: near["rows"] for near in found["tables"]} == {"memory_metrics": 2, "syscall_events": 2}
    shown = kernelsight("query", "around", T0, "--db-path", filled)
    assert shown.returncode == 0, shown.stderr
    assert "syscall_events: 2 rows" in shown.stdout
    nothing = kernelsight("query", "around", "2024-01-01", "--db-path", filled)
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "no rows within 5s" in nothing.stderr


def test_compare_shows_what_changed(database):
    second = 1_000_000_000
    lines = [
        {"type": "memory", "timestamp": T0 + n * second, "mem_free_kb": 5000 if n < 60 else 100, "mem_total_kb": 9000}
        for n in range(120)
    ]
    kernelsight("ingest", "--db-path", database, input="".join(json.dumps(line) + "\n" for line in lines))
    windows = [T0, T0 + 59 * second, T0 + 60 * second, T0 + 119 * second]
    done = kernelsight("query", "compare", *windows, "--db-path", database, "--format", "json")
    assert done.returncode == 0, done.stderr
    [change] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (change["metric"], change["before"], change["after"]) == ("mem_free_kb", 5000, 100)
    assert "mem_free_kb" in kernelsight("query", "compare", *windows, "--db-path", database).stdout


def test_correlate_joins_by_time(filled):
    metrics = ["memory.mem_free_kb", "syscall.latency_ns"]
    since = ["--since", "2025-01-01", "--db-path", filled, "--format", "json"]
    summary = json.loads(kernelsight("query", "correlate", *metrics, *since).stdout)
    assert (summary["pairs"], summary["unmatched"]) == (2, 0)
    pairs = kernelsight("query", "correlate", *metrics, "--tolerance", "0s", "--pairs", *since).stdout.splitlines()
    assert [json.loads(pair)["b"] for pair in pairs] == [12, None]


def test_status_shows_rows_and_books(filled):
    done = kernelsight("status", "--json", "--db-path", filled)
    state = json.loads(done.stdout)
    assert {table["table"]: table["rows"] for table in state["tables"]} == {"memory_metrics": 2, "syscall_events": 2}
    assert sum(account["lines"] for account in state["accounts"]) == 5
    assert [refusal["lines"] for refusal in state["rejected"]] == [1]
    shown = kernelsight("status", "--db-path", filled)
    assert shown.returncode == 0, shown.stderr
    assert "memory_metrics" in shown.stdout


def test_a_disk_that_is_full_from_the_start_is_said_in_one_line(database):
    done = shell('ulimit -f 0; exec "${@:2}" ingest --init-only --db-path "$1"', database)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"{database}.lock: cannot be written" in done.stderr


@pytest.mark.parametrize("arguments", [["version"], ["status"], ["collect", "--list"]])
def test_output_that_cannot_be_written_is_said_in_one_line(filled, arguments):
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        command = [*COMMAND, *arguments]
        done = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env=environment(KERNELSIGHT_DB_PATH=str(filled)),
        )
    assert done.returncode == 1
    assert done.stderr == f"kernelsight {arguments[0]}: standard output cannot be written: No space left on device\n"


def test_streams_that_are_closed_are_empty(database):
    lines = json.dumps(LINES[0]) + "\nbad\n"
    assert shell('"${@:2}" ingest --db-path "$1" 2>&-', database, input=lines).returncode == 0
    done = shell('"${@:2}" ingest --db-path "$1" <&-', database)
    assert done.returncode == 0, done.stderr
    assert "all: 0 lines" in done.stderr
    assert ask(database, "SELECT sum(stored), sum(rejected) FROM collectors") == [(1, 1)]


def test_init_only_makes_all_tables(database):
    done = kernelsight("ingest", "--init-only", "--db-path", database)
    assert done.returncode == 0, done.stderr
    assert rows(database, "syscall_events") == 0
    assert ask(database, "SELECT count(*) FROM v_memory_pressure") == [(0,)]


def test_the_database_may_come_from_the_environment(filled):
    done = kernelsight("status", "--json", env=environment(KERNELSIGHT_DB_PATH=str(filled)))
    assert json.loads(done.stdout)["database"] == str(filled)


def test_collect_into_ingest_is_the_system_without_a_supervisor(database):
    pipeline = '"${@:2}" collect load --interval 0.1 --duration 0.5 | "${@:2}" ingest --db-path "$1"'
    done = shell(pipeline, database)
    assert done.returncode == 0, done.stderr
    assert rows(database, "load_metrics") >= 1


def test_a_database_being_written_can_be_asked(database):
    with running("ingest", "--db-path", database, stdin=subprocess.PIPE) as process:
        process.stdin.write(json.dumps(LINES[0]) + "\n")
        process.stdin.flush()
        until(lambda: rows(database, "memory_metrics") == 1, "the row, by the batch timeout")
        assert kernelsight("status", "--db-path", database).returncode == 0
        second = kernelsight("ingest", "--db-path", database, input="")
        assert second.returncode == 1
        assert f"process {process.pid} is writing" in second.stderr
