"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.huge_pages_are_compacted_for import Compacting
from kernelsight.diagnosis.window import Interval

HOLDS = Compacting(
    run=Interval(3, 12),
    duration=Duration(10, 0),
    stalls=200.0,
    failed=90.0,
    huge_pages=100.0,
    scanned=12_800.0,
    came_back=1_999.0,
    faulting=None,
    fault_s=1.0,
    fault_ns=400_000.0,
    traced=True,
    stalled_share=0.05,
    faults=(),
    deltas=(),
    pressure=(),
)
FAILS = {
    "takes_time": {"fault_s": 0.9},
    "for_huge_pages": {"huge_pages": 99.0},
    "looks_at_many_pages": {"scanned": 12_799.0},
    "memory_is_not_short": {"came_back": 2_000.0},
    "lasts": {"duration": Duration(5, 4)},
}
DOES_NOT_APPLY = {
    "takes_time": {"traced": False, "stalled_share": None},
    "looks_at_many_pages": {"scanned": None},
}
