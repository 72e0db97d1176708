/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who waits for whom: every wait of a thread, added up by process, waker, place and state. */
#ifndef KERNELSIGHT_WAITS_H
#define KERNELSIGHT_WAITS_H

#include "threads.h"

enum { WOKEN_BY_TASK, WOKEN_BY_SOFTIRQ, WOKEN_BY_HARDIRQ, WOKEN_BY_IDLE, WOKEN_UNSEEN };

u64 edges_lost;

struct edge_key {
	u32 pid, waker;
	int waits_in;
	u8 state, waker_context;
	u16 padding;
};

struct edge {
	u64 count, wait_ns, runqueue_ns, max_wait_ns, passed_on, passed_on_ns, cgroup_id;
	char comm[COMM_LEN], waker_comm[COMM_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct edge_key);
	__type(value, struct edge);
} edges SEC(".maps");

#if defined(__TARGET_ARCH_x86)
/*
 * The count of nested contexts is a per-CPU variable (in pcpu_hot from 6.2 to 6.14), whose symbol a
 * program may use only where kallsyms has data symbols. So it is reached from another one of the
 * same section, the run queue that the thread's cfs_rq points to; both places are in the BTF.
 */
const volatile s64 nested_from_runqueue; /* 0: not known */

struct pcpu_hot {
	int preempt_count;
} VIEW;

/* From 6.2 on; a plain load then, where the helper takes 60 ns. Any structure that begins with a word serves. */
extern void *bpf_rdonly_cast(void *pointer, u32 type) __ksym __weak;

struct load_weight {
	unsigned long weight;
} VIEW;

static __always_inline u32 nested_contexts(struct task_struct *task)
{
	s64 distance = nested_from_runqueue;
	u32 count = 0;
	void *place;

	if (!distance || !bpf_core_field_exists(task->se.cfs_rq))
		return 0;
	if (bpf_core_type_exists(struct pcpu_hot))
		distance += bpf_core_field_offset(struct pcpu_hot, preempt_count);
	place = (void *)task->se.cfs_rq->rq + distance;
	if (bpf_rdonly_cast)
		return ((struct load_weight *)bpf_rdonly_cast(place, bpf_core_type_id_kernel(struct load_weight)))->weight;
	bpf_probe_read_kernel(&count, sizeof(count), place);
	return count;
}
#else
static __always_inline u32 nested_contexts(struct task_struct *task)
{
	return task->thread_info.preempt_count;
}
#endif

/* PREEMPT_RT serves soft interrupts in threads, which count for themselves. */
struct task_struct___rt {
	int softirq_disable_cnt;
} VIEW;

#define IN_HARDIRQ 0xff0000 /* hard interrupts and NMIs */
#define IN_SOFTIRQ 0x000100 /* one is served, not only held off */

/*
 * Whether a lock goes from one thread to the next: who wakes has waited for it before. Who hands out
 * work wakes others too, but waits for other things. Processes that share a word mostly know it by the
 * same address, as they are forked.
 */
static __always_inline bool is_passed_on(struct task_struct *waker, struct thread *thread)
{
	struct thread *waking;

	if (!(flags_of_call(thread->waits_in) & CALL_WAITS_ON_WORD))
		return false;
	waking = thread_of(waker, 0);
	return waking && waking->word == thread->word;
}

/*
 * An interrupt wakes on its own account, so the thread it happened to meet is not the waker. A
 * softirq may run right after a thread's own send (loopback): then the thread is, if the one that
 * it wakes waits in a call that a packet can end.
 */
static __always_inline void remember_waker(struct thread *thread)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_struct___rt *rt = (void *)task;
	u32 nested = nested_contexts(task);
	bool on_own_account = false;

	if (bpf_core_field_exists(rt->softirq_disable_cnt))
		nested |= rt->softirq_disable_cnt & IN_SOFTIRQ;
	if (nested & IN_HARDIRQ) {
		thread->waker_context = WOKEN_BY_HARDIRQ;
	} else if (nested & IN_SOFTIRQ) {
		thread->waker_context = WOKEN_BY_SOFTIRQ;
		on_own_account = task->pid && thread->state == INTERRUPTIBLE &&
				 (flags_of_call(thread->waits_in) & (CALL_SENDS | CALL_WAITS_BY_DESIGN)) &&
				 (flags_of_call(call_of(task)) & CALL_SENDS);
	} else if (!task->pid) {
		thread->waker_context = WOKEN_BY_IDLE;
	} else {
		thread->waker_context = WOKEN_BY_TASK;
		on_own_account = true;
	}
	thread->passed_on = on_own_account && is_passed_on(task, thread);
	if (!on_own_account) {
		thread->waker = 0;
	} else if (thread->waker != (u32)task->tgid) {
		thread->waker = task->tgid;
		__builtin_memcpy(thread->waker_comm, task->group_leader->comm, COMM_LEN);
	}
}

/* A wait of `task` ended: asleep until woken, then queued until now. */
static __noinline int add_edge(struct task_struct *task, struct thread *thread, u64 asleep, u64 queued)
{
	struct edge_key key = {.pid = task->tgid, .waits_in = thread->waits_in, .state = thread->state};
	u64 weight = thread->weight;
	struct edge *edge, first = {};

	key.waker_context = thread->state == RUNNABLE ? WOKEN_UNSEEN : thread->waker_context;
	if (key.waker_context != WOKEN_UNSEEN)
		key.waker = thread->waker;
	edge = bpf_map_lookup_elem(&edges, &key);
	if (!edge) {
		first.cgroup_id = cgroup_of(task);
		__builtin_memcpy(first.comm, task->group_leader->comm, COMM_LEN);
		if (key.waker)
			__builtin_memcpy(first.waker_comm, thread->waker_comm, COMM_LEN);
		bpf_map_update_elem(&edges, &key, &first, BPF_NOEXIST);
		edge = bpf_map_lookup_elem(&edges, &key);
		if (!edge) {
			add(edges_lost, 1);
			return 0;
		}
	}
	add(edge->count, weight);
	add(edge->wait_ns, asleep * weight);
	add(edge->runqueue_ns, queued * weight);
	if (thread->passed_on) {
		add(edge->passed_on, weight);
		add(edge->passed_on_ns, asleep * weight);
	}
	if (asleep > edge->max_wait_ns)
		edge->max_wait_ns = asleep;
	return 0;
}

#endif
