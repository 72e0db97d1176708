"""The short form of benchmarks/soak.py: very many of one thing make collecting neither large, nor late, nor endless."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from benchmarks.soak import NEVER, SOAKS, collected

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.solitary,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and tracers need root"),
    pytest.mark.skipif(not shutil.which("unshare") or not shutil.which("gcc"), reason="needs unshare and gcc"),
]

SMALL = {"processes": 400, "cgroups": 200, "threads": 300, "sockets": 300, "interfaces": 100, "fork_loop": 1}
WATCHED_S = 10
MOST_RSS_MB = 150


def test_every_soak_has_a_short_form():
    assert SMALL.keys() == SOAKS.keys()
    assert all(SMALL[name] <= count for name, count in SOAKS.items())


@pytest.fixture(scope="session")
def found():
    """What collecting cost beside each soak by its name, and under a ceiling: three at a time, as all mostly wait."""
    with ThreadPoolExecutor(max_workers=3) as pool:
        governed = pool.submit(collected, "processes", SMALL["processes"], settled_s=66, watched_s=12, ceiling=0.3)
        free = {
            name: pool.submit(collected, name, count, settled_s=5, watched_s=WATCHED_S, ceiling=NEVER)
            for name, count in SMALL.items()
        }
    return {name: future.result() for name, future in {**free, "governed": governed}.items()}


@pytest.mark.parametrize("name", SMALL)
def test_collecting_goes_on_beside_very_many_of_one_thing(found, name):
    cost = found[name]
    assert cost["missed"] < WATCHED_S / 2, cost
    assert 10 < cost["rss_mb"] < MOST_RSS_MB, cost
    assert 0 < cost["cpu_percent"] < 60, cost
    assert cost["all_rows_a_second"] > 5, cost
    assert cost["thinned"] == {}
    assert not list(Path("/sys/fs/cgroup").glob(f"*/kernelsight-soak-{os.getpid()}"))


def test_beside_many_processes_the_ceiling_thins_what_is_dearest_and_leaves_what_is_cheap(found):
    thinned = found["governed"]["thinned"]
    assert thinned, found["governed"]
    assert "load" not in thinned, thinned
