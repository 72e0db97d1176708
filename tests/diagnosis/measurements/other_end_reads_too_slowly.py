"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.other_end_reads_too_slowly import SLOW_BYTES_PER_S, SLOWED_SHARE, Pace, Unread
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.window import Interval

HOLDS = Unread(
    receiver=Entity("process", "70", "collector"),
    place="10.0.0.9:5432",
    run=Interval(3, 12),
    closed_share=0.6,
    is_asked=True,
    others_wait=False,
    computed_share=0.29,
    waits_for_storage=False,
    senders=(),
    closed=(),
    unread=(),
    waits=(),
    pace=Pace(now=SLOWED_SHARE * 1e6, before=1e6),
)
FAILS = {
    "stays_closed": {"closed_share": 0.5},
    "somebody_wants_it_read": {"is_asked": False},
    "takes_little": {"pace": Pace(now=SLOW_BYTES_PER_S, before=None)},
    "receiver_idles": {"computed_share": 0.3},
    "storage_is_not_why": {"waits_for_storage": True},
}
DOES_NOT_APPLY = {"takes_little": {"pace": None}, "receiver_idles": {"computed_share": None}}
