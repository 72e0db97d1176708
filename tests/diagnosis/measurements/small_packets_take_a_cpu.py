"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.small_packets_take_a_cpu import Carrying
from kernelsight.diagnosis.window import Interval

HOLDS = Carrying(
    cpu=1,
    run=Interval(3, 12),
    softirq_share=0.4,
    interface="eth0",
    packets=200_000,
    lost=0,
    bytes_a_packet=64.0,
    senders=(),
    deltas=(),
    traffic=(),
    wasted=(),
)
FAILS = {
    "very_many_packets": {"packets": 199_000, "lost": 150_000},
    "small": {"bytes_a_packet": 300.0},
    "heavy_or_wasted": {"softirq_share": 0.39, "lost": 19_999},
}
DOES_NOT_APPLY = {"small": {"packets": 0, "lost": 300_000, "bytes_a_packet": None}}
