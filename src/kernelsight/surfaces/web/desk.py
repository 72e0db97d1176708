"""What every answer of the web surface is made from: the store, by readers that are used again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kernelsight.stores.base import Reader, open_reader

if TYPE_CHECKING:
    from kernelsight.surfaces.web.diagnoses import Diagnoses

_KEPT = 2
"""Readers that wait to be used again: each keeps what it has read, up to 64 MB."""


class Desk:
    """A store, and readers of it for several threads."""

    def __init__(self, db_path: str) -> None:
        self.db_path = db_path
        self._diagnoses: Diagnoses | None = None
        self._lock = threading.Lock()
        self._opening = threading.Lock()  # the first may bring the store to this version, which one does alone
        self._free: list[Reader] = []

    @property
    def diagnoses(self) -> Diagnoses:
        """The diagnoses of the store."""
        with self._lock:
            if self._diagnoses is None:
                from kernelsight.surfaces.web.diagnoses import Diagnoses  # noqa: PLC0415 - with it come all mechanisms

                self._diagnoses = Diagnoses(self.db_path)
            return self._diagnoses

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """A reader that nobody else uses meanwhile.

        Raises:
            StoreError: the store does not exist yet, or cannot be read.
        """
        with self._lock:
            reader = self._free.pop() if self._free else None
        if reader is None:
            with self._opening:
                reader = open_reader(self.db_path)
        keep = False
        try:
            yield reader
            keep = True
        finally:
            with self._lock:
                keep = keep and len(self._free) < _KEPT
                if keep:
                    self._free.append(reader)
            if not keep:
                reader.close()

    def close(self) -> None:
        """Close the readers that nobody uses."""
        with self._lock:
            free, self._free = self._free, []
        for reader in free:
            reader.close()
