"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.interface_counts_losses import Counted
from kernelsight.diagnosis.window import Interval
from kernelsight.events.network import Network

HOLDS = Counted(
    interface="near0",
    run=Interval(3, 12),
    counter=Network.rx_drops,
    is_error=False,
    lost=100.0,
    carried=10_000.0,
    sent_again=1,
    has_other_cause=False,
    again=(),
    deltas=(),
)
FAILS = {
    "good_part": {"lost": 99.0},
    "errors_or_missed": {"sent_again": 0},
    "no_other_cause": {"has_other_cause": True},
}
