"""The short form of benchmarks/soak.py: very many of one thing make collecting neither large, nor late, nor endless."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from benchmarks.soak import NEVER, SOAKS, collected

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and tracers need root"),
    pytest.mark.skipif(not shutil.which("unshare") or not shutil.which("gcc"), reason="needs unshare and gcc"),
]

SMALL = {"processes": 400, "cgroups": 200, "threads": 300, "sockets": 300, "interfaces": 100, "fork_loop": 1}
MOST_RSS_MB = 150
MOST_ROWS_A_SECOND = 200
"""Of a kind (`most_per_s`), once what is saved up is spent; twice as many while it is not."""


def test_every_soak_has_a_short_form():
    assert SMALL.keys() == SOAKS.keys()
    assert all(SMALL[name] <= count for name, count in SOAKS.items())


@pytest.mark.parametrize("name", SMALL)
def test_collecting_goes_on_beside_very_many_of_one_thing(name):
    found = collected(name, SMALL[name], settled_s=5, watched_s=10, ceiling=NEVER)
    assert found["missed"] <= 2, found
    assert 10 < found["rss_mb"] < MOST_RSS_MB, found
    assert 0 < found["cpu_percent"] < 60, found
    assert found["all_rows_a_second"] > 5, found
    assert found["thinned"] == {}
    assert not list(Path("/sys/fs/cgroup").glob(f"*/kernelsight-soak-{os.getpid()}"))


def test_beside_many_processes_the_ceiling_thins_what_is_dearest_and_leaves_what_is_cheap():
    found = collected("processes", SMALL["processes"], settled_s=66, watched_s=12, ceiling=0.3)
    assert found["thinned"], found
    assert "load" not in found["thinned"], found
