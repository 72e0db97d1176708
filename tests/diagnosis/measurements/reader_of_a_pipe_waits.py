"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from dataclasses import replace

from measurements.reader_of_a_pipe_computes import HOLDS as COMPUTES

from kernelsight.diagnosis.duration import Duration
from kernelsight.events.pending_wait import PendingWait

HOLDS = replace(COMPUTES, ran=0.2, pending=[PendingWait(1, waits_for="reader", peer_waits_at_terminal=0)])
FAILS = {
    "held_up": {"share": 0.59},
    "kept_up_before": {"share_before": None},
    "reader_waits": {"ran": 0.21},
    "no_user_decides": {"pending": [PendingWait(1, waits_for="reader", peer_waits_at_terminal=1)]},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
