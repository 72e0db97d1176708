/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hooks of the scheduler, one program each for all tracers that live on them. */
#include "blocked_tasks.h"
#include "scheduler.h"
#include "syscalls.h"
#include "threads.h"
#include "waits.h"

#define COMPARE_NS 1000000
#define GOLDEN_RATIO 2654435769U /* times 2^32: the upper bits of its multiples are spread evenly */

/*
 * The run queue's clock was read before the scheduler chose, at times long before, so the smallest
 * difference is the truest; it can grow by 1/2000, the most that NTP steers the one and not the other.
 */
static __noinline int compare_clocks(struct slot *slot, u64 clock)
{
	u64 drift = (clock - slot->compared_at) >> 11;
	s64 more = bpf_ktime_get_ns() - clock - slot->behind_ns;

	if (slot->compared_at && more > (s64)drift && more < 10 * COMPARE_NS)
		more = drift;
	slot->behind_ns += more;
	slot->compared_at = clock;
	return 0;
}

/*
 * The time of a switch, as bpf_ktime_get_ns() would give it but for microseconds: that takes 80 to
 * 110 ns here, a quarter of the hook, and the scheduler has just read the same hardware.
 */
static __always_inline u64 time_of_switch(struct task_struct *prev, struct slot *slot)
{
	u64 clock;

	if (!bpf_core_field_exists(prev->se.cfs_rq))
		return bpf_ktime_get_ns();
	clock = prev->se.cfs_rq->rq->clock;
	if (clock - slot->compared_at > COMPARE_NS)
		compare_clocks(slot, clock);
	return clock + slot->behind_ns;
}

/* `task` leaves the CPU. */
static __always_inline void leave(struct task_struct *task, bool preempted, struct slot *slot, u64 now)
{
	bool ends = task->__state & TASK_DEAD;
	struct thread *thread = thread_of(task, ends ? 0 : CREATE);
	u64 on_at;
	int call;

	if (!thread) {
		if (!ends)
			add(threads_missed, 1);
		return;
	}
	on_at = thread->on_at ? thread->on_at : slot->switched_at;
	if (on_at >= began)
		thread->cpu_ns += since(on_at, now);
	thread->on_at = 0;
	if (ends) {
		if (features & RUN_QUEUE)
			add_last_usage(task, thread, now);
		return;
	}
	thread->off_at = now;
	if (KERNEL_KEEPS_DELAYS(task))
		thread->delay_ns = task->sched_info.run_delay;
	thread->state = state_of(task, preempted);
	call = call_of(task);
	thread->waits_in = call;
	if (call == IN_PAGE_FAULT && thread->state != UNINTERRUPTIBLE)
		thread->waits_in = IN_NOTHING;
	if (task->__state != TASK_WAKING) /* else its waker was faster than it */
		thread->waker_context = WOKEN_UNSEEN;
	thread->weight = 0;
	/* Not every so many: of two that take turns, only one would be seen. */
	if ((features & WAIT_EDGES) && !(((u32)slot->switches * GOLDEN_RATIO >> 20) & thin_mask))
		thread->weight = thin_mask + 1;
	if ((features & WAIT_EDGES) && thread->state != RUNNABLE && (flags_of_call(call) & CALL_WAITS_ON_WORD))
		thread->word = word_waited_for(task);
	if (call < 0 || !(features & SLOW_CALLS))
		thread->call_start = 0;
	else if (thread->call_start < calls_began && (RETURN_IS_TOLD || thread->state != RUNNABLE))
		begin_call(thread, call, slot->maybe_start && slot->tick_exits == slot->exits ? slot->ticked_at : now);
}

/*
 * How long a thread that slept was ready for a CPU before it got it now. run_delay has what it spent
 * on the queues of other CPUs before it was moved; the clock of this one's queue was read for this
 * very switch.
 */
static __always_inline u64 queued_after_sleep(struct task_struct *task, struct thread *thread, u64 now)
{
	u64 queued_at, queued;

	if (!KERNEL_KEEPS_DELAYS(task))
		return thread->woken_at > thread->off_at ? since(thread->woken_at, now) : 0;
	queued_at = task->sched_info.last_queued;
	queued = task->sched_info.run_delay - thread->delay_ns;
	return queued_at ? queued + since(queued_at, task->se.cfs_rq->rq->clock) : queued;
}

/* `task` gets the CPU that `prev` had. */
static __always_inline void enter(struct task_struct *task, struct task_struct *prev, struct slot *slot, u64 now)
{
	struct thread *thread = thread_of(task, 0);
	u64 gone, asleep, queued;

	if (!thread)
		return;
	thread->on_at = now;
	if (thread->off_at < began)
		return;
	gone = since(thread->off_at, now);
	queued = gone;
	if (thread->state != RUNNABLE) {
		queued = queued_after_sleep(task, thread, now);
		if (queued > gone)
			queued = gone;
		thread->wakeups++;
	}
	asleep = gone - queued;
	if (!KERNEL_KEEPS_DELAYS(task))
		thread->delay_ns += queued;
	thread->off_at = 0;
	if (thread->call_start) {
		thread->runqueue_ns += queued;
		if (thread->state == UNINTERRUPTIBLE)
			thread->blocked_ns += asleep;
		else
			thread->sleep_ns += asleep;
		slot->call_start = thread->call_start;
	}
	if (thread->weight)
		add_edge(task, thread, asleep, queued);
	if ((features & RUN_QUEUE) && queued >= queue_threshold_ns)
		add_queue_wait(task, prev, now, queued);
}

SEC("tp_btf/sched_switch")
int on_switch(u64 *ctx)
{
	BPF_ARG(bool, preempted, 0);
	BPF_ARG(struct task_struct *, prev, 1);
	BPF_ARG(struct task_struct *, next, 2);
	struct slot *slot = this_slot();
	u64 now;

	if (!slot)
		return 0;
	now = time_of_switch(prev, slot);
	if (prev->pid)
		leave(prev, preempted, slot, now);
	slot->call_start = 0;
	slot->maybe_start = 0;
	slot->switched_at = now;
	slot->switches++;
	if (next->pid)
		enter(next, prev, slot, now);
	return 0;
}

SEC("tp_btf/sched_waking")
int on_waking(u64 *ctx)
{
	BPF_ARG(struct task_struct *, task, 0);
	struct thread *thread = thread_of(task, 0);

	if (!thread)
		return 0;
	if (!KERNEL_KEEPS_DELAYS(task))
		thread->woken_at = bpf_ktime_get_ns();
	if (thread->weight)
		remember_waker(thread);
	return 0;
}

/* A new thread is runnable before it ever left a CPU. */
SEC("tp_btf/sched_wakeup_new")
int on_wakeup_new(u64 *ctx)
{
	BPF_ARG(struct task_struct *, task, 0);
	struct thread *thread = thread_of(task, CREATE);

	if (!thread) {
		add(threads_missed, 1);
		return 0;
	}
	thread->off_at = bpf_ktime_get_ns();
	thread->state = RUNNABLE;
	thread->waits_in = IN_NOTHING;
	thread->weight = features & WAIT_EDGES ? 1 : 0;
	return 0;
}
