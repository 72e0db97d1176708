"""A store that was killed, starved or without power in the middle of anything is whole afterwards (`make torture`)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from torture import Torture

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(4))
def test_a_store_is_whole_after_whatever_ended_its_processes(tmp_path, seed):
    torture = Torture(tmp_path, seed)
    for rounds in range(1, 21):
        torture.round()
        if rounds >= 3 and torture.stored > 0:  # three faults may all come before the first row is durable
            break
    assert torture.done.total() >= 3 + 2
    assert torture.stored > 0
