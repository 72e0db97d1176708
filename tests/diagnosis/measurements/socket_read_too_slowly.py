"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.socket_read_too_slowly import Overflowing
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.window import Interval

HOLDS = Overflowing(
    reader=Entity("process", "60", "reader"),
    place="packets for reader",
    run=Interval(3, 12),
    onset_ns=3_000_000_000,
    lost=10,
    queued_bytes=16_384,
    buffer_bytes=32_768,
    sockets=(),
    shown=None,
)
FAILS = {
    "many": {"lost": 9},
    "reader_known": {"reader": Entity("interface", "near0", "near0")},
    "nearly_full": {"queued_bytes": 16_383},
}
DOES_NOT_APPLY = {"nearly_full": {"queued_bytes": 0}}
