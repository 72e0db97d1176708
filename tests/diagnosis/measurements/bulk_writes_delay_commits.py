"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.bulk_writes_delay_commits import DelayedCommits
from kernelsight.diagnosis.model import Entity, Evidence
from kernelsight.diagnosis.storage import User, Waiter
from kernelsight.diagnosis.window import Interval

DB = Waiter(11, "db", ("db", None))
HOLDS = DelayedCommits(
    run=Interval(3, 12),
    by=User(("copy", None), []),
    culprit=Entity("process", "70", "copy"),
    written=50e6,
    written_by_all=100e6,
    dirty=Evidence("memory_stats", 1, 2, "dirty_kb", "max", 200_000.0, (1,)),
    a_device_is_slow=False,
    victims=(DB,),
    worst=DB,
    before_s=0.0,
)
FAILS = {
    "writes_most": {"written": 49e6},
    "lies_in_the_page_cache": {"dirty": None},
    "no_device_is_slow": {"a_device_is_slow": True},
}
