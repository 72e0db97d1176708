"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.copies_fault_for_their_pages import Copying
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.window import Interval

HOLDS = Copying(
    culprit=Entity("process", "70", "cache"),
    run=Interval(3, 7),
    faults=100_001,
    copies=100,
    ran_s=1.5,
    busy_s=3.0,
    busy_ticks=1000,
    system_ticks=300,
    came_back=10_000,
    traced=(),
    born=(),
    account=(),
    cpus=(),
)
FAILS = {
    "lasts": {"run": Interval(3, 6)},
    "in_the_kernel": {"system_ticks": 299},
    "most_of_what_runs": {"busy_s": 3.1},
    "more_than_to_begin": {"faults": 100_000},
    "not_for_evicted_pages": {"came_back": 10_001},
}
