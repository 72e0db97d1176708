"""The command that shows how long rows are kept, and the options that say so."""

from __future__ import annotations

import json
import time

import pytest
from processes import kernelsight, running, until

from kernelsight.errors import UsageError
from kernelsight.events.scheduler import Load
from kernelsight.events.wire import encode_lines
from kernelsight.stores.limits import DEFAULTS, EVERY
from kernelsight.surfaces.keeping import as_arguments, limits_of, parse_keeping, parse_size, shown

DAY = 86_400 * 10**9


def lines(count: int) -> bytes:
    now = time.time_ns()
    return encode_lines([Load(timestamp=now - number * 10**9, load_1min=1.0) for number in range(count)])


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500 * 10**6), ("2GB", 2 * 10**9), ("1.5 GiB", 1536 * 2**20), ("20000kB", 20 * 10**6), ("none", None)],
)
def test_a_size_is_understood(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "2", "2 G", "-1GB", "1MB", "1e9B", "9999999999TB", "nan GB", "2GB;", "\u0662GB"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match=r"500MB|at least 10MB"):
        parse_size(text)


@pytest.mark.parametrize(("text", "ns"), [("12h", DAY // 2), ("30d", 30 * DAY), ("1y", 365 * DAY), ("forever", None)])
def test_a_time_is_understood_and_shown_alike(text, ns):
    assert parse_keeping(text) == ns
    assert shown("keep", ns) == text


@pytest.mark.parametrize("text", ["", "0", "5s", "30 days", "-2d", "for ever"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError):
        parse_keeping(text)


def test_options_name_kinds_by_kind_or_table():
    given = (["1d", "process=6h"], ["30d", "memory_metrics=forever"], ["1y"], "500MB")
    assert limits_of(*given) == {
        (EVERY, "keep_sql"): DAY,
        ("process_stats", "keep_sql"): DAY // 4,
        (EVERY, "keep"): 30 * DAY,
        ("memory_metrics", "keep"): None,
        (EVERY, "keep_rollups"): 365 * DAY,
        (EVERY, "max_disk"): 500 * 10**6,
    }
    assert as_arguments(*given) == [
        *["--keep-sql", "1d", "--keep-sql", "process=6h", "--keep", "30d", "--keep", "memory_metrics=forever"],
        *["--keep-rollups", "1y", "--max-disk", "500MB"],
    ]
    with pytest.raises(UsageError, match="no kind of event 'proces'"):
        limits_of([], ["proces=1d"], [], None)


def test_ingest_gives_a_store_its_limits_and_retention_shows_and_changes_them(tmp_path):
    path = tmp_path / "k.db"
    arguments = ("ingest", "--db-path", path, "--keep", "load=3d")
    with running(*arguments, text=False, stdin=-1) as daemon:
        daemon.stdin.write(lines(300))
        daemon.stdin.flush()
        until(path.exists, "the database")

        def state():
            done = kernelsight("retention", "--db-path", path, "--json", "--max-disk", "50MB")
            whole = json.loads(done.stdout) if done.returncode == 0 else {"kept": []}
            return [kept for kept in whole["kept"] if kept["rows"] == 300] and whole

        whole = until(state, "the rows")
        limits = {(limit["table"], limit["limit"]): limit["value"] for limit in whole["limits"]}
        assert limits["load_metrics", "keep"] == 3 * DAY
        assert limits["*", "keep"] == DEFAULTS["keep"]
        assert limits["*", "max_disk"] == 50 * 10**6
        assert whole["leaving"] == []
        done = kernelsight("retention", "--db-path", path, "--apply", "--keep", "load=2d")
        assert done.returncode == 0, done.stderr
        assert "the daemon that writes to it keeps the limits" in done.stdout
        shown_now = kernelsight("retention", "--db-path", path).stdout
        assert "--keep          2d     load_metrics" in shown_now
        assert "--max-disk      2GB    all" in shown_now
        daemon.stdin.close()
        daemon.stdin = None
        assert daemon.wait(60) == 0


def test_apply_without_a_daemon_lets_go_at_once(tmp_path):
    path = tmp_path / "k.db"
    assert kernelsight("ingest", "--db-path", path, input=lines(100).decode()).returncode == 0
    done = kernelsight("retention", "--db-path", path, "--apply", "--keep", "7d")
    assert done.returncode == 0, done.stderr
    assert "Nothing is beyond the limits." in done.stdout
    refused = kernelsight("retention", "--db-path", path, "--apply", "--dry-run")
    assert refused.returncode == 2
    missing = kernelsight("retention", "--db-path", tmp_path / "none.db")
    assert missing.returncode == 1
    assert "no such database" in missing.stderr
