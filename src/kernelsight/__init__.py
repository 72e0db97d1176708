"""KernelSight: kernel telemetry, collected, stored, queried and explained.

From Python, :func:`open` is the door::

    import kernelsight

    ks = kernelsight.open("data/kernelsight.db")
    ks.syscalls(since="1h", where="latency_ns>=50ms").to_pandas()
"""

from __future__ import annotations

TYPE_CHECKING = False
"""As :data:`typing.TYPE_CHECKING`, which every command would load."""

if TYPE_CHECKING:
    import os

    from kernelsight.surfaces.telemetry import Telemetry

__version__ = "0.1.0"


def open(source: str | os.PathLike[str] = "data/kernelsight.db") -> Telemetry:  # noqa: A001 - the word for it
    """Open what is stored, to read it.

    Args:
        source: a file, or the URL of a store.

    Raises:
        StoreError: there is no store that can be read.
    """
    from kernelsight.surfaces.telemetry import Telemetry  # noqa: PLC0415 - a command that needs none loads none

    return Telemetry(source)
