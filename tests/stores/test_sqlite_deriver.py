"""SQLite keeps the contract of derivers, with everything in one segment and with segments of a few rows."""

from __future__ import annotations

import pytest
from deriver_contract import DeriverContract

from kernelsight.stores.base import open_writer
from kernelsight.stores.sqlite import layout


class TestSqlite(DeriverContract):
    @pytest.fixture
    def url(self, tmp_path):
        path = str(tmp_path / "telemetry.db")
        open_writer(path).close()
        return path


class TestSqliteInSmallSegments(TestSqlite):
    @pytest.fixture
    def url(self, tmp_path, monkeypatch):
        monkeypatch.setattr(layout, "SEGMENT_ROWS", 4)
        path = str(tmp_path / "telemetry.db")
        open_writer(path).close()
        return path
