"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.same_memory_faulted_again import FaultStorm
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.window import Interval

HOLDS = FaultStorm(
    culprit=Entity("process", "70", "codec"),
    run=Interval(3, 7),
    faults=100_000,
    read_in=49_999,
    came_back=9_999,
    user_s=3.5,
    system_s=1.5,
    sampled_s=5.0,
    is_sampled=True,
    calls=200_000,
    kept_kb=199_999.0,
    children=99,
    threads=99,
    deltas=(),
    traced=(),
    sampled=(),
)
FAILS = {
    "lasts": {"run": Interval(3, 6)},
    "in_the_kernel": {"faults": 99_999},
    "not_by_reading": {"faults": 99_999},
    "does_not_keep_it": {"kept_kb": 200_000.0},
    "not_by_new_ones": {"threads": 100, "children": 99.1},
    "not_for_evicted_pages": {"came_back": 10_001},
    "not_read_in": {"read_in": 50_000},
}
