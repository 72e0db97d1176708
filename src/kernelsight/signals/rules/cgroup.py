"""Control groups at their limits (Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

from kernelsight.events.cgroup import Cgroup
from kernelsight.signals.model import MOVED, Harm, Measure, if_known, rule
from kernelsight.signals.registry import declare
from kernelsight.signals.rules.memory import REFAULTS_PER_S

TASKS_USED_PERCENT = 80
"""From which on `cgroup_pids_near_limit` is raised."""

declare(
    __name__,
    rule(
        "cgroup_throttled",
        Cgroup,
        Measure(
            of=(Cgroup.cpu_throttled_us,),
            per=(if_known(Cgroup.cpu_usage_us), Cgroup.cpu_throttled_us),  # version 1 may account usage elsewhere
            scale=100,
            unit="% of what it wants",
            least_per=100_000,
        ),
        scope="cgroup",
        levels={"warning": 25, "critical": 50},
        raise_after_s=3,
        because="the share of their time in which its threads are throttled until the next period "
        "(Documentation/scheduler/sched-bwc.rst). A quota that is used up in each period is no "
        "symptom: the group may lack only little",
        harm=Harm("wait", "its threads are throttled as long as they run, or longer"),
        healthy="a batch job that its quota is meant to slow down: as long as it runs",
        summary="{cgroup} is throttled by its CPU quota in {value:.0f} % of the time in which it could run",
    ),
    rule(
        "cgroup_memory_near_limit",
        Cgroup,
        Measure(of=(Cgroup.memory_anon_bytes,), per=(Cgroup.memory_limit_bytes,), scale=100, unit="%", least_per=1),
        scope="cgroup",
        levels={"warning": 90},
        raise_after_s=2,
        because="the kernel can drop file pages, but without swap no anonymous pages: at the limit "
        "the OOM killer acts (cgroup_oom_kills). A heap of fixed size may stay near the limit for ever",
        healthy="a heap of fixed size: for ever",
        summary="anonymous memory of {cgroup} fills {value:.0f} % of its limit",
    ),
    rule(
        "cgroup_refaults",
        Cgroup,
        Measure(of=(Cgroup.memory_refaults,), unit="pages/s"),
        scope="cgroup",
        levels={"warning": REFAULTS_PER_S},
        raise_after_s=3,
        because="10 MB/s (100 MB/s) of reads that more memory in the group would save; the levels "
        "are those of the machine (refaults)",
        healthy="a program that reads more files again and again than fit: as long as it does",
        summary="{value:,.0f} pages/s of {cgroup} are read again shortly after their eviction",
    ),
    rule(
        "cgroup_oom_kills",
        Cgroup,
        Measure(of=(Cgroup.memory_oom_kills,), unit="kills/s"),
        scope="cgroup",
        levels={"critical": MOVED},
        because="memory.events, oom_kill: the group was at its limit, and the kernel killed one of its processes",
        harm=Harm("failure", "a process is killed"),
        summary="a process of {cgroup} was killed because the group's memory ran out",
    ),
    rule(
        "cgroup_pids_near_limit",
        Cgroup,
        Measure(of=(Cgroup.pids_current,), per=(Cgroup.pids_limit,), scale=100, unit="%", least_per=1),
        scope="cgroup",
        levels={"warning": TASKS_USED_PERCENT},
        raise_after_s=2,
        because="at the limit fork(2) fails with EAGAIN "
        "(Documentation/admin-guide/cgroup-v1/pids.rst), which cgroup_forks_refused shows",
        healthy="a pool of fixed size: for ever",
        summary="{cgroup} has {value:.0f} % of its allowed number of tasks",
    ),
    rule(
        "cgroup_forks_refused",
        Cgroup,
        Measure(of=(Cgroup.pids_limit_events,), unit="forks/s"),
        scope="cgroup",
        levels={"critical": MOVED},
        because="pids.events, max: a fork that failed at the limit",
        harm=Harm("failure", "a program cannot start another program or a thread"),
        summary="{cgroup} is at its limit of tasks: forks fail",
    ),
)
