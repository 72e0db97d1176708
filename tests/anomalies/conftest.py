"""The stores that several tests ask."""

from __future__ import annotations

import pytest
from machine import store


@pytest.fixture(scope="session")
def troubled(tmp_path_factory):
    """A machine that has had trouble; nobody writes to it."""
    return store(tmp_path_factory.mktemp("troubled") / "k.db")


@pytest.fixture(scope="session")
def quiet(tmp_path_factory):
    return store(tmp_path_factory.mktemp("quiet") / "k.db", trouble=False)
