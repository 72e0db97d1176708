"""What a person can set about ingestion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kernelsight.stores.limits import Limit


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one run of the daemon; the defaults are the documented ones."""

    batch_size: int = 100
    """Events that wait before they are committed."""
    batch_timeout_s: float = 1.0
    """Seconds that an event waits at most before it is committed."""
    verbose: bool = False
    """Say what is committed, and every refused line."""
    brief: bool = False
    """At the end, say what became of the lines only where one of them was not stored."""
    buffer_bytes: int = 16 << 20
    """Input held in memory while the store cannot be written; in memory it takes about four times that."""
    patience_s: float = 30.0
    """Seconds that the input is held back with a full buffer before the oldest detail is dropped."""
    mode: int | None = None
    """Permissions of a database that is made; the store's choice by default."""
    status_path: Path | None = None
    """Where to write the status as JSON, once a second."""
    limits: Mapping[Limit, int | None] | None = None
    """How long rows are kept, and how much disk they may take, where it differs from what the store has; None: the
    store's limits stay as they are, also where it has none."""
    complete_since_ns: int | None = None
    """All that collectors have printed since then comes in here (ns since the epoch); None: that is not known."""
