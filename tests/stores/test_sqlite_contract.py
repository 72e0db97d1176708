"""SQLite keeps the contract of stores, with everything in one segment and with segments of a few rows."""

from __future__ import annotations

import pytest
from contract import StoreContract

from kernelsight.stores.sqlite import layout


class TestSqlite(StoreContract):
    @pytest.fixture
    def url(self, tmp_path):
        return str(tmp_path / "new folder" / "telemetry.db")


class TestSqliteInSmallSegments(TestSqlite):
    @pytest.fixture
    def url(self, tmp_path, monkeypatch):
        monkeypatch.setattr(layout, "SEGMENT_ROWS", 4)
        return str(tmp_path / "telemetry.db")
