"""Lines that are lost with a daemon that is killed are counted by the next one, to the last."""

from __future__ import annotations

import os
import signal
from collections import Counter

import pytest
from processes import PATIENCE_S, ask, child, rows, running, until

pytestmark = pytest.mark.slow

COLLECTORS = ("cpu", "memory", "load", "process", "network")


def test_what_was_printed_is_stored_or_counted_after_kill_9(tmp_path):
    database = tmp_path / "k.db"
    options = ("--no-agent", "--interval", "0.05", "--db-path", database)
    with running("start", *options, *COLLECTORS) as process:
        killed = set()
        for _ in range(3):
            daemon = until(lambda: (pid := child(process.pid, "ingest")) not in killed and pid, "the daemon")
            before = rows(database, "cpu_stats")
            until(lambda before=before: rows(database, "cpu_stats") > before, "rows of this daemon")
            os.kill(daemon, signal.SIGKILL)
            killed.add(daemon)
        last = until(lambda: (pid := child(process.pid, "ingest")) not in killed and pid, "the last daemon")
        before = rows(database, "cpu_stats")
        until(lambda: rows(database, "cpu_stats") > before, f"rows of the daemon {last}")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    printed: Counter[str] = Counter()
    for (text,) in ask(database, "SELECT printed FROM collector_reports ORDER BY timestamp"):
        for pair in text.split(","):
            kind, _, count = pair.partition("=")
            printed[kind] = max(printed[kind], int(count))
    del printed["collector"]  # the last report is printed itself
    books = {kind: counts for kind, *counts in ask(database, "SELECT kind, lines, stored, dropped FROM collectors")}
    assert {kind: books[kind][0] for kind in printed} == printed
    assert all(stored + dropped == lines for lines, stored, dropped in (books[kind] for kind in printed))
    for kind, table in (("cpu", "cpu_stats"), ("process", "process_stats"), ("memory", "memory_metrics")):
        assert books[kind][1] == rows(database, table)
    assert sum(books[kind][2] for kind in printed) > 0
    assert "lost with a daemon that was killed, among the dropped:" in err
