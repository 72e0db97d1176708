"""What several tests of the diagnosis start from."""

from __future__ import annotations

import pytest
from scenes import END, START, stored

from kernelsight.diagnosis.window import Window
from kernelsight.events.declare import Event
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import open_reader


@pytest.fixture
def scene_of(tmp_path):
    readers = []

    def make(*events: Event) -> Window:
        readers.append(open_reader(stored(tmp_path / "window.db", events)))
        return Window(readers[-1], TimeRange(START, END))

    yield make
    for reader in readers:
        reader.close()
