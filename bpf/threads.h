/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the tracers on the scheduler's tracepoints share: the state of every thread and of every CPU.
 *
 * One program on sched_switch serves them all; `features` says which of them are in use.
 */
#ifndef KERNELSIGHT_THREADS_H
#define KERNELSIGHT_THREADS_H

#include "calls.h"

enum feature { SLOW_CALLS = 1, CALL_ERRORS = 2, RUN_QUEUE = 4, WAIT_EDGES = 8 };
enum state { RUNNABLE, INTERRUPTIBLE, UNINTERRUPTIBLE };
#define TASK_WAKING 0x0200
enum { CALL_WAITS_BY_DESIGN = 1, CALL_MAY_BE_REFUSED = 2, CALL_SENDS = 4, CALL_WAITS_ON_WORD = 8, CALL_ON_FILES = 16 };

#define MAX_CALLS 512

/* Set while loaded, as collectors come and go. */
u32 features;
u32 thin_mask; /* of the waits, record those whose switch's number, spread, has none of these bits: 12 at most */
u64 began;	 /* to watch switches; what a thread remembers from before is out of date */
u64 calls_began; /* the same for system calls */

const volatile u8 call_flags[2 * MAX_CALLS]; /* the second half: of 32-bit programs */

/* Losses; each is read by the collector that it concerns. */
u64 threads_missed;

struct thread {
	u64 off_at;	/* switched out then; 0: not seen to be */
	u64 on_at;	/* switched in then */
	u64 delay_ns; /* sched_info.run_delay when switched out; without SCHED_INFO our own sum of the same */
	u64 woken_at; /* kept without SCHED_INFO only */
	u64 cpu_ns;
	u64 call_start; /* of the system call it is in; 0: none, or not slow so far */
	u64 runqueue_ns, blocked_ns, sleep_ns; /* since call_start */
	int call;
	int waits_in;
	u32 waker;
	u8 waker_context;
	u8 state;
	u16 known;  /* the fields below hold what the last scan saw */
	u32 weight; /* of the wait that it is in: how many waits it stands for; 0: it is not recorded */
	u32 wakeups, seen_wakeups;
	u64 seen_cpu_ns, seen_delay_ns, seen_voluntary, seen_involuntary;
	char waker_comm[COMM_LEN];
	u64 word;	 /* of memory that it last waited for: a futex */
	bool passed_on;	 /* the one that woke it had waited for the same word */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

/* What a hook must find without a lookup: one cache line. */
struct slot {
	u64 call_start; /* of the running thread, as in struct thread */
	u64 switched_at;
	u64 switches;
	u64 maybe_start; /* at the last tick a call ran; it may have begun then */
	u64 ticked_at;
	u32 exits;	 /* system calls that returned */
	u32 tick_exits;	 /* `exits` at that tick */
	u64 compared_at; /* the run queue's clock when it was compared with bpf_ktime_get_ns() */
	u64 behind_ns;	 /* what it was behind then */
} __attribute__((aligned(64)));

struct slot slots[MAX_CPUS];

/* Keeps the compiler from dropping a bound that it thinks known: the verifier forgets more easily. */
#define hide(variable) asm volatile("" : "+r"(variable))

static __always_inline struct slot *this_slot(void)
{
	u64 cpu = bpf_get_smp_processor_id();

	if (cpu >= MAX_CPUS)
		return 0;
	hide(cpu);
	return &slots[cpu & (MAX_CPUS - 1)];
}

static __always_inline struct thread *thread_of(struct task_struct *task, u64 flags)
{
	return bpf_task_storage_get(&threads, task, 0, flags);
}

/* From one moment to another; 0 if they come in the wrong order, as the clocks of two CPUs may differ a little. */
static __always_inline u64 since(u64 then, u64 now)
{
	return now > then ? now - then : 0;
}

#define CREATE BPF_LOCAL_STORAGE_GET_F_CREATE

/*
 * Whether the kernel itself keeps how long a thread is ready for a CPU (CONFIG_SCHED_INFO), and we
 * reach the clock that it does so by (CONFIG_FAIR_GROUP_SCHED): distributions' kernels have both.
 * Its account misses no waking, which a hook does that runs from inside another program or a task
 * storage; and a hook less on every waking is a quarter of what a switch costs.
 */
#define KERNEL_KEEPS_DELAYS(task) \
	(bpf_core_field_exists((task)->sched_info.last_queued) && bpf_core_field_exists((task)->se.cfs_rq))

static __always_inline u8 flags_of_call(int call)
{
	u64 index = (u32)call & ~COMPAT_CALL;

	if (index >= MAX_CALLS)
		return 0;
	if (call & COMPAT_CALL)
		index += MAX_CALLS;
	hide(index);
	return call_flags[index & (2 * MAX_CALLS - 1)];
}

/*
 * The word of memory that a thread in futex(2) waits for. A lock is one word; the two of a condition
 * variable are neighbours, and count as one.
 */
static __always_inline u64 word_waited_for(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	return regs ? ARG0(regs) >> 3 : 0;
}

/* __state has been the name since 5.14; TASK_NOLOAD marks kernel threads that only idle. */
static __always_inline enum state state_of(struct task_struct *task, bool preempted)
{
	u32 state = task->__state;

	if (preempted || !state)
		return RUNNABLE;
	if (state & TASK_RTLOCK_WAIT || ((state & TASK_UNINTERRUPTIBLE) && !(state & TASK_NOLOAD)))
		return UNINTERRUPTIBLE;
	return INTERRUPTIBLE;
}

#endif
