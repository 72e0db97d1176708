"""Control groups at their limits (Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

from kernelsight.events.cgroup import Cgroup
from kernelsight.signals.model import MOVED, Measure, rule

RULES = (
    rule(
        "cgroup_throttled",
        Cgroup,
        Measure(of=("cpu_throttled_periods",), per=("cpu_periods",), scale=100, unit="% of periods", least_per=1),
        scope="cgroup",
        levels={"warning": 25, "critical": 75},
        raise_after_s=3,
        because="in each of these periods (of 0.1 s by default) threads stood still until its end "
        "(Documentation/scheduler/sched-bwc.rst)",
        summary="{cgroup} used up its CPU quota in {value:.0f} % of the periods",
    ),
    rule(
        "cgroup_memory_near_limit",
        Cgroup,
        Measure(of=("memory_anon_bytes",), per=("memory_limit_bytes",), scale=100, unit="%", least_per=1),
        scope="cgroup",
        levels={"warning": 90, "critical": 97},
        raise_after_s=2,
        because="file pages can be dropped, anonymous ones cannot without swap: at the limit the OOM killer comes",
        summary="anonymous memory of {cgroup} fills {value:.0f} % of its limit",
    ),
    rule(
        "cgroup_refaults",
        Cgroup,
        Measure(of=("memory_refaults",), unit="pages/s"),
        scope="cgroup",
        levels={"warning": 2_500, "critical": 25_000},
        raise_after_s=3,
        because="10 MB/s (100 MB/s) read again for want of memory in the group, as of the machine (refaults)",
        summary="{value:,.0f} pages/s of {cgroup} are read again that were evicted shortly before",
    ),
    rule(
        "cgroup_oom_kills",
        Cgroup,
        Measure(of=("memory_oom_kills",), unit="kills/s"),
        scope="cgroup",
        levels={"critical": MOVED},
        because="memory.events, oom_kill: the group was at its limit and a process of it was killed",
        summary="a process of {cgroup} was killed as the group's memory ran out",
    ),
    rule(
        "cgroup_pids_near_limit",
        Cgroup,
        Measure(of=("pids_current",), per=("pids_limit",), scale=100, unit="%", least_per=1),
        scope="cgroup",
        levels={"warning": 80, "critical": 95},
        raise_after_s=2,
        because="at the limit fork(2) fails with EAGAIN (Documentation/admin-guide/cgroup-v1/pids.rst)",
        summary="{cgroup} has {value:.0f} % of the tasks that it may have",
    ),
    rule(
        "cgroup_forks_refused",
        Cgroup,
        Measure(of=("pids_limit_events",), unit="forks/s"),
        scope="cgroup",
        levels={"critical": MOVED},
        because="pids.events, max: a fork that failed at the limit",
        summary="{cgroup} is at its limit of tasks: forks fail",
    ),
)
