"""CPUs: what runs on them, and what waits for them."""

from kernelsight.events.cgroup import Cgroup
from kernelsight.events.scheduler import Cpu, Load
from kernelsight.query.filters import Filter
from kernelsight.surfaces.web.chart import Chart, Line, chart

_SCHEDULER = "scheduler"
_WHOLE = (Cpu.user, Cpu.nice, Cpu.system, Cpu.idle, Cpu.iowait, Cpu.irq, Cpu.softirq, Cpu.steal)

chart(
    Chart(
        "cpus",
        "Each CPU",
        "Share of its time in which a CPU is not idle.",
        Cpu,
        (Line("", (Cpu.user, Cpu.nice, Cpu.system, Cpu.irq, Cpu.softirq, Cpu.steal)),),
        "%",
        _SCHEDULER,
        only=(Filter(Cpu.cpu, ">=", 0),),
        per=(Cpu.cpu,),
        out_of=_WHOLE,
        whole_s=1_800,
        rank=41,
    )
)
chart(
    Chart(
        "tasks",
        "Run queue",
        "Tasks that run or are ready to, and tasks that are blocked uninterruptibly.",
        Cpu,
        (Line("running or ready", (Cpu.procs_running,)), Line("blocked", (Cpu.procs_blocked,))),
        "",
        _SCHEDULER,
        only=(Filter(Cpu.cpu, "=", -1),),
        rank=42,
    )
)
chart(
    Chart(
        "switches",
        "Switches",
        "Context switches and interrupts of the machine.",
        Cpu,
        (Line("context switches", (Cpu.context_switches,)), Line("interrupts", (Cpu.interrupts,))),
        "1/s",
        _SCHEDULER,
        only=(Filter(Cpu.cpu, "=", -1),),
        rank=43,
    )
)
chart(
    Chart(
        "forks",
        "New processes",
        "Processes and threads that are started.",
        Cpu,
        (Line("forks", (Cpu.forks,)),),
        "1/s",
        _SCHEDULER,
        only=(Filter(Cpu.cpu, "=", -1),),
        rank=44,
    )
)
chart(
    Chart(
        "load",
        "Load",
        "Tasks that run, are ready to, or are blocked uninterruptibly, as a damped mean.",
        Load,
        (Line("1 min", (Load.load_1min,)), Line("5 min", (Load.load_5min,)), Line("15 min", (Load.load_15min,))),
        "",
        _SCHEDULER,
        rank=45,
    )
)
chart(
    Chart(
        "cpu-groups",
        "Control groups",
        "CPU time of each control group; 100 % is one CPU.",
        Cgroup,
        (Line("", (Cgroup.cpu_usage_us,)),),
        "%",
        _SCHEDULER,
        per=(Cgroup.cgroup,),
        percent=True,
        whole_s=600,
        rank=46,
    )
)
chart(
    Chart(
        "cpu-throttled",
        "Throttled",
        "Time in which the quota of a control group held its tasks back.",
        Cgroup,
        (Line("", (Cgroup.cpu_throttled_us,)),),
        "%",
        _SCHEDULER,
        per=(Cgroup.cgroup,),
        percent=True,
        whole_s=600,
        rank=47,
    )
)
