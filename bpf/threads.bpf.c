/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hooks of the scheduler, one program each for all tracers that live on them. */
#include "blocked_tasks.h"
#include "scheduler.h"
#include "syscalls.h"
#include "threads.h"
#include "waits.h"

/* `task` leaves the CPU. */
static __always_inline void leave(struct task_struct *task, bool preempted, struct slot *slot, u64 now)
{
	struct thread *thread;
	u64 on_at;
	int call;

	if (task->__state & TASK_DEAD)
		return;
	thread = thread_of(task, CREATE);
	if (!thread) {
		add(threads_missed, 1);
		return;
	}
	on_at = thread->on_at ? thread->on_at : slot->switched_at;
	if (on_at)
		thread->cpu_ns += now - on_at;
	thread->on_at = 0;
	thread->off_at = now;
	thread->state = state_of(task, preempted);
	call = call_of(task);
	thread->waits_in = call;
	if (call == IN_PAGE_FAULT && thread->state != UNINTERRUPTIBLE)
		thread->waits_in = IN_NOTHING;
	thread->weight = 0;
	if ((features & WAIT_EDGES) && !(slot->switches & thin_mask))
		thread->weight = thin_mask + 1;
	if (call < 0 || !(features & SLOW_CALLS))
		thread->call_start = 0;
	else if (!thread->call_start)
		begin_call(thread, call, slot->maybe_start && slot->tick_exits == slot->exits ? slot->ticked_at : now);
}

/*
 * Time ready for a CPU by the kernel's own account, for a waking that was not seen: it came before
 * the thread had left its CPU, or from inside a program or a task storage, where none is run.
 */
static __always_inline u64 queued_by_kernel(struct task_struct *task, u64 most)
{
	u64 since = task->sched_info.last_queued, clock, queued;

	if (!since || !bpf_core_field_exists(task->se.cfs_rq))
		return 0;
	clock = task->se.cfs_rq->rq->clock;
	queued = clock > since ? clock - since : 0;
	return queued < most ? queued : most;
}

/* `task` gets the CPU that `prev` had. */
static __always_inline void enter(struct task_struct *task, struct task_struct *prev, struct slot *slot, u64 now)
{
	struct thread *thread = thread_of(task, 0);
	u64 asleep = 0, queued;

	if (!thread)
		return;
	thread->on_at = now;
	if (!thread->off_at)
		return;
	if (thread->state == RUNNABLE) {
		queued = now - thread->off_at;
	} else {
		if (thread->woken_at > thread->off_at)
			asleep = thread->woken_at - thread->off_at;
		else
			asleep = now - thread->off_at - queued_by_kernel(task, now - thread->off_at);
		queued = now - thread->off_at - asleep;
		thread->wakeups++;
	}
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
	u64 now = bpf_ktime_get_ns();

	if (!slot)
		return 0;
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
