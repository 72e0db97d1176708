"""The door for Python, and its files: the rows that were stored, whichever form they are asked for in."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import apsw
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from exported import EVENTS, HOSTILE, NOW, S, store_of

import kernelsight
from kernelsight.errors import StoreError, UsageError
from kernelsight.events.memory import PageFault
from kernelsight.events.syscalls import Syscall
from kernelsight.events.unsigned import wrap_u64
from kernelsight.events.wire import kinds
from kernelsight.query import record_batches
from kernelsight.query.rows import rows
from kernelsight.surfaces.cli.main import main
from kernelsight.surfaces.exports import files
from kernelsight.surfaces.telemetry_page import method_of

PAGE = Path(__file__).parents[3] / "docs" / "python.md"
CALLS = tuple(
    Syscall(
        NOW + number * S,
        pid=number % 5,
        comm=("postgres", "nginx")[number % 2],
        latency_ns=number * 10_000_000,
        is_error=number % 3 == 0,
        arg0=wrap_u64(2**64 - 1 - number) if number else None,
    )
    for number in range(200)
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return store_of(tmp_path_factory.mktemp("door") / "db", [*EVENTS, *CALLS])


@pytest.fixture
def ks(path):
    return kernelsight.open(path)


def test_all_forms_say_what_the_query_api_says(ks, path):
    asked = ks.syscalls(where="latency_ns>=500ms", columns=["pid", "comm", "latency_ns", "is_error", "arg0"])
    said = [
        {name: row[name] for name in ("timestamp", "pid", "comm", "latency_ns", "is_error", "arg0")}
        for row in rows(path, "syscall", 0, where="latency_ns>=500ms")
    ]
    assert len(said) == 150
    assert asked.to_dicts() == list(asked) == said
    stamps = [dt.datetime.fromtimestamp(row["timestamp"] // S, dt.UTC) for row in said]
    arrow = asked.to_arrow()
    assert arrow.schema.field("timestamp").type == pa.timestamp("ns", "UTC")
    assert arrow.schema.field("latency_ns").metadata[b"kernelsight.unit"] == b"ns"
    assert arrow.column("arg0").to_pylist() == [row["arg0"] for row in said]
    assert [stamp.to_pydatetime() for stamp in asked.to_pandas().index] == stamps
    assert asked.to_pandas()["comm"].tolist() == [row["comm"] for row in said]
    assert asked.to_polars()["is_error"].to_list() == [row["is_error"] for row in said]
    assert asked.to_polars().schema["arg0"] == pl.UInt64


def test_a_range_has_both_its_ends_and_is_cut_into_stretches_without_loss(ks, monkeypatch):
    monkeypatch.setattr(record_batches, "STRETCH_ROWS", 10)
    monkeypatch.setattr(record_batches, "BATCH_ROWS", 7)
    batches = list(ks.syscalls().batches())
    assert max(batch.num_rows for batch in batches) <= 7
    assert [row["latency_ns"] for row in ks.syscalls()] == [call.latency_ns for call in CALLS]
    some = ks.syscalls(since=NOW + 10 * S, until=NOW + 19 * S).to_dicts()
    assert [row["timestamp"] for row in some] == [NOW + number * S for number in range(10, 20)]


def test_a_table_without_rows_has_its_columns(ks):
    empty = ks.page_faults().to_arrow()
    assert (empty.num_rows, empty.schema.names) == (0, list(PageFault.__struct_fields__))
    assert ks.page_faults().to_dicts() == []


def test_there_is_a_method_for_each_table_and_it_asks_for_that_table(ks):
    for kind in kinds().values():
        assert getattr(ks, method_of(kind))(since="1h").kind is kind
    assert ks.rows("syscall").kind is ks.rows("syscall_events").kind is ks.syscalls().kind


def test_what_is_wrong_is_said_when_it_is_asked(ks, tmp_path):
    for wrong in (
        lambda: ks.rows("syscals"),
        lambda: ks.syscalls(columns="latency"),
        lambda: ks.syscalls(where="latency>=3"),
        lambda: ks.syscalls(since="yesterdayish"),
        lambda: ks.syscalls(since="5m", until="10m"),
    ):
        with pytest.raises(UsageError):
            wrong()
    with pytest.raises(StoreError):
        kernelsight.open(tmp_path / "nothing.db")


def test_a_value_of_another_type_is_null_and_counted(tmp_path):
    path = store_of(tmp_path / "db", CALLS[:3])
    connection = apsw.Connection(path)
    connection.execute(
        "UPDATE syscall_events__1 SET latency_ns = 'soon', comm = x'ff', is_error = 'no' WHERE timestamp = ?",
        (NOW + S,),
    )
    connection.close()
    table = kernelsight.open(path).syscalls(columns=["latency_ns", "comm", "is_error"]).to_arrow()
    assert table.column("latency_ns").to_pylist() == [0, None, 20_000_000]
    assert table.column("comm").to_pylist() == ["postgres", None, "postgres"]
    assert table.column("is_error").to_pylist() == [True, None, False]
    ran = CliRunner().invoke(main, ["export", "syscall", "--db-path", path, "--since", "2026-09-01"])
    assert ran.exit_code == 0
    assert "syscall_events.latency_ns: 1 values of another type" in ran.stderr


def test_ndjson_is_what_ingest_reads(path, tmp_path):
    out = tmp_path / "events.ndjson"
    ran = CliRunner().invoke(main, ["export", "syscall", "--db-path", path, "--since", "2026-09-01", "-o", str(out)])
    assert (ran.exit_code, ran.stderr) == (0, f"syscall_events: 200 rows in {out}\n")
    again = tmp_path / "again.db"
    subprocess.run(
        [sys.executable, "-m", "kernelsight", "ingest", "--db-path", again],
        input=out.read_bytes(), check=True, capture_output=True,
    )  # fmt: skip
    assert kernelsight.open(again).syscalls().to_dicts() == kernelsight.open(path).syscalls().to_dicts()


@pytest.mark.parametrize("form", ["csv", "arrow", "parquet", "ndjson"])
def test_every_format_has_every_row_and_name(path, tmp_path, form):
    out = tmp_path / f"network.{form}"
    ran = CliRunner().invoke(main, ["export", "network", "--db-path", path, "--since", "2026-09-01", "-o", str(out)])
    assert ran.exit_code == 0, ran.output
    if form == "csv":
        (row,) = csv.DictReader(io.StringIO(out.read_bytes().decode(), newline=""))
        row["rx_bytes"] = int(row["rx_bytes"])
    elif form == "ndjson":
        row = json.loads(out.read_text())
    else:
        table = pq.read_table(out) if form == "parquet" else pa.ipc.open_stream(out.read_bytes()).read_all()
        (row,) = table.to_pylist()
    assert (row["interface_name"], row["rx_bytes"]) == (HOSTILE, 5)


def test_several_tables_go_to_a_folder_and_what_is_empty_is_not_told(path, tmp_path):
    command = ["export", "--db-path", path, "--since", "2026-09-01", "--format", "parquet"]
    ran = CliRunner().invoke(main, [*command, "-o", str(tmp_path / "all")])
    assert ran.exit_code == 0, ran.output
    assert "syscall_events: 200 rows" in ran.stderr
    assert "page_fault_events" not in ran.stderr
    assert pq.read_table(tmp_path / "all" / "syscall_events.parquet").num_rows == 200
    for wrong in (command, ["export", "memory", "--db-path", path, "--format", "parquet"]):
        assert CliRunner().invoke(main, wrong).exit_code == 2


def test_an_export_that_fails_leaves_what_was_there(path, tmp_path):
    out = tmp_path / "memory.csv"
    out.write_text("before")
    ran = CliRunner().invoke(main, ["export", "memory", "--db-path", path, "--where", "no=1", "-o", str(out)])
    assert ran.exit_code == 2
    assert out.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["memory.csv"]
    ran = CliRunner().invoke(main, ["export", "memory", "--db-path", path, "-o", str(tmp_path / "no" / "file.csv")])
    assert (ran.exit_code, "cannot be written" in ran.output) == (1, True)


def test_the_examples_of_the_page_run(path, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    shutil.copy(path, tmp_path / "data" / "kernelsight.db")
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, str(PAGE), "exec"), {})


def test_rows_with_a_clock_that_was_wrong_do_not_make_the_rest_slow(tmp_path, monkeypatch):
    """Parts that reach over decades are not looked through minute by minute."""
    monkeypatch.setattr(record_batches, "STRETCH_ROWS", 10)
    early = Syscall(1_000_000_000 * S, pid=7)
    wrong = store_of(tmp_path / "db", [early, *CALLS])
    asked = []
    scan = record_batches.scan
    monkeypatch.setattr(record_batches, "scan", lambda *given, **more: asked.append(1) or scan(*given, **more))
    pids = [row["pid"] for row in kernelsight.open(wrong).syscalls(columns="pid")]
    assert pids == [7, *(call.pid for call in CALLS)]
    assert len(asked) < 400


def test_of_a_file_that_somebody_exchanges_while_it_is_written_no_rights_are_changed(path, tmp_path, monkeypatch):
    secret, folder = tmp_path / "secret", tmp_path / "out"
    secret.touch(mode=0o600)
    folder.mkdir()

    def exchange(*_):
        [draft] = folder.iterdir()
        draft.unlink()
        draft.symlink_to(secret)

    monkeypatch.setitem(files._WRITERS, "ndjson", exchange)
    done = CliRunner().invoke(main, ["export", "syscall", "--db-path", str(path), "-o", str(folder / "rows.ndjson")])
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
