"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.restarts import Restarts
from kernelsight.events.process_exit import ProcessExit

ONE = ProcessExit(1, comm="shop", exit_status=1, count=5, failed=5, lifetime_ms=10_000.0)
OTHER = ProcessExit(2, comm="shop", exit_status=2, count=3, failed=3, lifetime_ms=6_000.0)


def ends(count=8, failed=8, status=1, lifetime_ms=2_000.0):
    row = ProcessExit(1, comm="shop", exit_status=status, count=count, failed=failed, lifetime_ms=lifetime_ms)
    return (row,)


HOLDS = Restarts(
    comm="shop",
    parent_pid=12,
    parent_comm="sh",
    rows=ends(),
    others=2,
    duration=Duration(20, 0),
    seconds=20.0,
    ran_long_s=0.0,
    in_living_container=False,
    came_up=False,
    serves=True,
    refused=(),
    refused_before_per_s=None,
    errors=(),
    segfaults=(),
    typed=False,
)
FAILS = {
    "nobody_types_it": {"typed": True, "serves": False},
    "is_no_job": {"parent_comm": "systemd", "serves": False, "seconds": 7 * 10.1},
    "fails_alike": {"rows": (ONE, OTHER)},
    "fails": {"rows": ends(failed=6)},
    "ends_soon": {"rows": ends(lifetime_ms=8 * 16_000)},
    "one_at_a_time": {"rows": ends(lifetime_ms=8 * 5_000)},
    "is_service": {"serves": False},
    "started_again_soon": {"seconds": 7 * 60.0},
    "new_container": {"in_living_container": True},
    "goes_on": {"duration": Duration(20, 12)},
    "only_child": {"others": 9},
    "no_storm": {"rows": ends(count=700, failed=700)},
}
APPLIES = {"is_no_job": {"parent_comm": "systemd"}}
DOES_NOT_APPLY = {
    "is_no_job": {},
    "started_again_soon": {"parent_comm": "conmon"},
    "new_container": {"in_living_container": None},
}
