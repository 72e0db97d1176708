"""What several tests of the query API share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from filled import Stretches


@pytest.fixture(scope="module")
def stretches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stretches]:
    """A store for examples that differ in their times."""
    store = Stretches(tmp_path_factory.mktemp("stretches") / "db")
    yield store
    store.close()
