"""The configuration file: what holds before what, what is wrong with a file, and that it speaks of every option."""

import shutil
import signal
import subprocess
import tomllib

import click
import pytest
from processes import children, environment, kernelsight, running, started, until

from kernelsight.surfaces.cli.main import main
from kernelsight.surfaces.configuration import Configuration, nearest, options_of, wrong

GOOD = """
db-path = "above.db"
[start]
interval = 2.5
no-agent = true
collectors = ["cpu", "memory"]
[signals.watch]
every = 3
"""


def asked(folder, *words, text=None, **variables):
    if text is not None:
        (folder / "kernelsight.toml").write_text(text)
    return started(*words, cwd=folder, env=environment(**variables))


def held(said, table="start"):
    return tomllib.loads(said.stdout)[table]


def test_the_command_line_holds_before_the_environment_and_that_before_the_file(tmp_path):
    said = asked(tmp_path, "config", "show", text=GOOD, KERNELSIGHT_START_INTERVAL="4", KERNELSIGHT_START_MAX_CPU="0.5")
    assert held(said) == {
        "db-path": "above.db", "interval": 4.0, "no-agent": True, "collectors": ["cpu", "memory"], "max-cpu": 0.5,
        "no-web": True,  # of all that tests start (tests/conftest.py)
    }  # fmt: skip
    assert "interval = 4.0  # from the environment" in said.stdout
    assert "# agent-interval = 60.0" in said.stdout
    missing = asked(tmp_path, "status", "--db-path", "given.db")
    assert "given.db: no such database" in missing.stderr
    assert "above.db: no such database" in asked(tmp_path, "status").stderr


def test_a_file_is_asked_for_by_option_or_variable_or_lies_here(tmp_path):
    (tmp_path / "other.toml").write_text('db-path = "other.db"')
    by_option = asked(tmp_path, "--config", "other.toml", "config", "show", text=GOOD)
    assert held(by_option)["db-path"] == "other.db"
    assert held(asked(tmp_path, "config", "show", KERNELSIGHT_CONFIG="other.toml"))["db-path"] == "other.db"
    none = asked(tmp_path, "--config", "none.toml", "status")
    assert none.returncode == 2
    assert "none.toml: the configuration cannot be read" in none.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[start]\nintervall = 2", "start.intervall: no such option; did you mean interval?"),
        ("[strat]\ninterval = 2", "strat: no such command or option; did you mean start?"),
        ("[start]\ninterval = true", "start.interval: True is not a value of this option"),
        ("[start]\nno-agent = 1", "start.no-agent: 1 is not true or false"),
        ("[start]\ninterval = -1", "start.interval: -1 is not a number of seconds above 0"),
        ("[start]\ninterval = 2026-11-23", "start.interval: text in quotes, a number, true or false is expected"),
        ("[signals.watch]\nevry = 2", "signals.watch.evry: no such option; did you mean every?"),
        ("start = 3", "start: "),
        ("[start", "kernelsight.toml: "),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path, text, words):
    said = asked(tmp_path, "config", "check", text=text)
    assert said.returncode == 2
    assert words in said.stderr
    assert "Traceback" not in said.stderr


def test_a_command_says_that_a_bad_value_is_of_the_file(tmp_path):
    said = asked(tmp_path, "start", text="[start]\ninterval = 'x'")
    assert said.returncode == 2
    assert "(from kernelsight.toml)" in said.stderr
    helped = asked(tmp_path, "start", "--help", text="[start]\nintervall = 2")
    assert helped.returncode == 0


def test_a_file_that_others_may_write_is_left_out_and_said_so(tmp_path):
    (tmp_path / "kernelsight.toml").write_text(GOOD)
    (tmp_path / "kernelsight.toml").chmod(0o666)
    said = asked(tmp_path, "config", "show")
    assert "kernelsight.toml is not read" in said.stderr
    assert "above.db" not in said.stdout


def test_every_option_of_every_command_may_stand_in_a_file():
    context = click.Context(main, info_name="kernelsight")
    start = main.get_command(context, "start")
    assert {"db-path", "interval", "max-cpu", "duration", "no-agent", "agent-interval", "policy", "collectors"} <= {
        *options_of(start, click.Context(start, parent=context))
    }
    assert list(wrong(Configuration(tables=tomllib.loads(GOOD)), main, context)) == []
    assert nearest("agnt", ["agent", "start"]) == "; did you mean agent?"


def test_stop_ends_the_system_that_writes_to_a_database_and_waits(tmp_path):
    database = tmp_path / "run.db"
    with running("start", "cpu", "--no-agent", "--db-path", database) as system:
        until(lambda: database.exists() and children(system.pid), "the system")
        until(
            lambda: (
                (tmp_path / "run.db.lock").exists() and kernelsight("status", "--db-path", database).returncode == 0
            ),
            "rows",
        )
        said = started("stop", "--db-path", database)
        assert said.returncode == 0, said.stderr
        assert str(system.pid) in said.stdout
        assert system.wait(30) == 0
    again = started("stop", "--db-path", database)
    assert again.returncode == 1
    assert "nothing writes to it" in again.stderr
    assert "no such database" in started("stop", "--db-path", tmp_path / "none.db").stderr


def test_stop_ends_no_process_that_is_not_ours(tmp_path):
    database, lock = tmp_path / "run.db", tmp_path / "run.db.lock"
    database.touch()
    lock.touch()
    other = subprocess.Popen([shutil.which("flock"), lock, "sleep", "60"])
    try:
        until(lambda: subprocess.run(["flock", "-n", lock, "true"], check=False).returncode, "the lock")
        lock.write_text(f"{other.pid}\n")
        said = started("stop", "--db-path", database)
        assert said.returncode == 1
        assert "is no daemon of ours" in said.stderr
        assert other.poll() is None
    finally:
        for pid in [*children(other.pid), other.pid]:
            subprocess.run(["kill", f"-{signal.SIGKILL}", str(pid)], check=False)
        other.wait()


def test_a_manual_page_is_written_for_every_command_and_says_nothing_that_roff_takes_for_a_request(tmp_path):
    said = started("man", tmp_path / "man1")
    assert said.returncode == 0, said.stderr
    pages = {path.name: path.read_text() for path in (tmp_path / "man1").iterdir()}
    assert {"kernelsight.1", "kernelsight-start.1", "kernelsight-signals-watch.1", "kernelsight-top.1"} <= {*pages}
    assert "kernelsight-docs.1" not in pages
    known = {".TH", ".SH", ".PP", ".TP", ".B", ".nf", ".fi"}
    for name, text in pages.items():
        assert text.startswith(".TH "), name
        assert {line.split()[0] for line in text.splitlines() if line.startswith((".", "'"))} <= known, name
    status = pages["kernelsight-diagnose.1"].partition("Exit status")[2]
    assert ".nf\n    0  healthy" in status


def test_a_help_lays_out_what_stands_in_lines():
    lines = [line.strip() for line in started("diagnose", "--help").stdout.splitlines()]
    assert "1  findings" in lines
    assert not any("\\b" in line for line in lines)
