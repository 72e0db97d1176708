"""The web pages as a part of the running system."""

from __future__ import annotations

import time

import httpx
import pytest
from processes import PATIENCE_S, environment, kernelsight, running
from web_serving import free_port

pytestmark = pytest.mark.slow


def test_start_serves_pages_of_what_it_collects(tmp_path):
    port, database = free_port(), tmp_path / "db"
    arguments = ("memory", "--no-agent", "--web-port", port, "--db-path", database)
    with running("start", *arguments, env=environment(KERNELSIGHT_NO_WEB="0")) as started:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + PATIENCE_S
        known = []
        while not known:
            assert time.monotonic() < deadline
            assert started.poll() is None
            time.sleep(0.3)
            try:
                known = httpx.get(f"{address}/api/charts/memory?since=1m", timeout=PATIENCE_S).json()["times_ms"]
            except (httpx.ConnectError, KeyError):
                continue  # not up, or no store, yet
        started.terminate()
        _, said = started.communicate(timeout=PATIENCE_S)
    assert f"web: {address}/" in said


def test_a_port_that_is_taken_is_named(database, address):
    taken = address.rpartition(":")[2]
    said = kernelsight("serve", "--port", taken, "--db-path", database)
    assert said.returncode == 2
    assert f"--port {taken}: " in said.stderr
