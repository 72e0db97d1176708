"""Messages about tasks, memory and the kernel itself."""

from __future__ import annotations

from kernelsight.linux.kernel_log.kinds import COMM, MessageKind, Pattern

KINDS = (
    MessageKind(
        "hung_task",
        "A task slept uninterruptibly for longer than the kernel's limit (kernel.hung_task_timeout_secs).",
        (
            Pattern(
                rf"INFO: task {COMM}:(?P<pid>\d+) blocked (?:in I/O wait )?for more than (?P<seconds>\d+) seconds",
                "INFO: task dd:4711 blocked for more than 120 seconds.",
                "kernel/hung_task.c: check_hung_task",
            ),
            Pattern(
                rf"INFO: task {COMM}:(?P<pid>\d+) (?:<\w+> )?(?:is )?blocked on an? [\w-]+ likely (?:owned|last "
                rf"held) by "
                r"task (?P<holder_comm>.{1,15}):(?P<holder_pid>\d+)",
                "INFO: task cat:4711 is blocked on a mutex likely owned by task tar:4650.",
                "kernel/hung_task.c: debug_show_blocker (6.15 and later)",
            ),
        ),
    ),
    MessageKind(
        "soft_lockup",
        "A CPU ran in the kernel for many seconds without a pause.",
        (
            Pattern(
                rf"watchdog: BUG: soft lockup - CPU#(?P<cpu>\d+) stuck for (?P<seconds>\d+)s! \[{COMM}:(?P<pid>\d+)\]",
                "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [insmod:4711]",
                "kernel/watchdog.c: watchdog_timer_fn",
            ),
            Pattern(
                r"BUG: workqueue lockup - pool cpus=(?P<cpu>\d+).* stuck for (?P<seconds>\d+)s!",
                "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 37s!",
                "kernel/workqueue.c: wq_watchdog_timer_fn",
            ),
        ),
    ),
    MessageKind(
        "hard_lockup",
        "A CPU ran in the kernel for many seconds without taking interrupts.",
        (
            Pattern(
                r"(?:NMI )?watchdog: (?:CPU\d+: )?Watchdog detected hard LOCKUP on cpu (?P<cpu>\d+)",
                "watchdog: Watchdog detected hard LOCKUP on cpu 3",
                "kernel/watchdog.c: watchdog_hardlockup_check (before 6.5 kernel/watchdog_hld.c)",
            ),
        ),
    ),
    MessageKind(
        "rcu_stall",
        "A CPU or a task has held up RCU for many seconds.",
        (
            Pattern(
                r"rcu: INFO: \w+ (?:self-)?detected (?:expedited )?stalls? on (?:CPUs?|CPUs/tasks)",
                "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
                "kernel/rcu/tree_stall.h: print_other_cpu_stall, print_cpu_stall",
            ),
            Pattern(
                r"rcu: \w+ kthread (?:starved|timer wakeup didn't happen) for (?P<amount>\d+) jiffies",
                "rcu: rcu_preempt kthread starved for 21003 jiffies! g1 f0x0 RCU_GP_WAIT_FQS(5) ->state=0x0 ->cpu=1",
                "kernel/rcu/tree_stall.h: rcu_check_gp_kthread_starvation",
            ),
        ),
    ),
    MessageKind(
        "realtime_throttled",
        "Real-time tasks used all CPU time that they may, and were paused (kernel.sched_rt_runtime_us).",
        (
            Pattern(
                r"sched: (?:RT throttling activated|DL replenish lagged too much)",
                "sched: RT throttling activated",
                "kernel/sched/rt.c: sched_rt_runtime_exceeded; kernel/sched/deadline.c",
            ),
        ),
    ),
    MessageKind(
        "oom_kill",
        "The kernel killed a process because memory ran out.",
        (
            Pattern(
                rf"(?:Out of memory(?: \(oom_kill_allocating_task\))?|Memory cgroup out of memory): "
                rf"Kill(?:ed)? process (?P<pid>\d+) \({COMM}\) (?:total-vm|score)",
                "Memory cgroup out of memory: Killed process 4711 (python3) total-vm:123kB, anon-rss:100kB, "
                "file-rss:0kB, "
                "shmem-rss:0kB, UID:0 pgtables:120kB oom_score_adj:0",
                "mm/oom_kill.c: __oom_kill_process",
            ),
            Pattern(
                r"(?:Out of memory|System is deadlocked on memory|Memory cgroup out of memory).*no killable processes",
                "Out of memory and no killable processes...",
                "mm/oom_kill.c: out_of_memory",
            ),
        ),
    ),
    MessageKind(
        "allocation_failed",
        "The kernel could not get memory for itself.",
        (
            Pattern(
                rf"{COMM}: (?:page allocation failure: order:(?P<amount>\d+)|vmalloc error: size \d+)",
                "swapper/0: page allocation failure: order:4, mode:0x40a20(GFP_ATOMIC|__GFP_COMP), nodemask=(null)",
                "mm/page_alloc.c: warn_alloc",
            ),
            Pattern(
                r"SLUB: Unable to allocate memory on (?:node|CPU)",
                "SLUB: Unable to allocate memory on CPU 1 (of node 0) on node -1, gfp=0x820(GFP_ATOMIC)",
                "mm/slub.c: slab_out_of_memory",
            ),
        ),
    ),
    MessageKind(
        "segfault",
        "A process ended because it used memory or an instruction that it may not use.",
        (
            Pattern(
                rf"{COMM}\[(?P<pid>\d+)\]: segfault at [\da-f]+ ip [\da-f]+ sp [\da-f]+ error [\da-f]+"
                r"(?: in (?P<place>[^\[]{1,255})\[)?",
                "server[4711]: segfault at 0 ip 000055d2d3a1b139 sp 00007ffd3a2b1c60 error 6 in "
                "server[55d2d3a1b000+1000]",
                "arch/x86/mm/fault.c: show_signal_msg",
            ),
            Pattern(
                rf"traps: {COMM}\[(?P<pid>\d+)\] (?P<error>trap [\w ]{{1,40}}|general protection(?: fault)?) "
                r"ip:[\da-f]+ sp:[\da-f]+ error:[\da-f]+",
                "traps: server[4711] trap invalid opcode ip:55d2d3a1b139 sp:7ffd3a2b1c60 error:0 in "
                "server[1139,55d2d3a1b000+1000]",
                "arch/x86/kernel/traps.c: show_signal",
            ),
            Pattern(
                rf"{COMM}\[(?P<pid>\d+)\]: unhandled (?:exception: )?(?P<error>[\w ()]{{1,60}})",
                "server[4711]: unhandled exception: DABT (lower EL), ESR 0x0000000092000046, level 2 translation "
                "fault in server[aaaa0000+1000]",
                "arch/arm64/kernel/traps.c: arm64_show_signal",
            ),
        ),
        limited_by=("show_signal_msg", "show_signal", "arm64_show_signal"),
    ),
    MessageKind(
        "kernel_bug",
        "The kernel met a defect of its own.",
        (
            Pattern(
                r"BUG: (?:kernel NULL pointer dereference|unable to handle|sleeping function|scheduling while atomic|"
                r"Bad (?:page|rss)|spinlock|using \w+\(\) in preemptible|KASAN|KFENCE|stack guard page)",
                "BUG: kernel NULL pointer dereference, address: 0000000000000008",
                "arch/x86/mm/fault.c: show_fault_oops; mm/page_alloc.c: bad_page; kernel/sched/core.c",
            ),
            Pattern(
                r"(?:kernel BUG at (?P<place>\S+)!|Kernel panic - not syncing|Internal error: |Oops: |"
                r"general protection fault, |Unable to handle kernel )",
                "kernel BUG at mm/slub.c:3456!",
                "lib/bug.c: report_bug; kernel/panic.c: panic; arch/*/mm/fault.c",
            ),
        ),
    ),
    MessageKind(
        "kernel_warning",
        "The kernel met a state that should not be.",
        (
            Pattern(
                r"WARNING: (?:CPU: (?P<cpu>\d+) PID: (?P<pid>\d+) at |(?=\S+:\d+ at ))(?P<place>\S+)",
                "WARNING: CPU: 1 PID: 4711 at net/core/dev.c:123 dev_watchdog+0x1f/0x30",
                "kernel/panic.c: __warn",
            ),
            Pattern(
                r"list_(?:add|del) corruption",
                "list_del corruption. prev->next should be ffff888100000000, but was 0000000000000000",
                "lib/list_debug.c",
            ),
            Pattern(
                r"workqueue: (?P<place>\S+) hogged CPU for >",
                "workqueue: drain_vmap_area_work hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND",
                "kernel/workqueue.c: wq_cpu_intensive_report",
            ),
        ),
    ),
)
