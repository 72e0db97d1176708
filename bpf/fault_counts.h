/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How many faults every process had.
 *
 * The kernel counts them in every thread; a scan over all threads takes the differences once a
 * second, and the end of a thread takes its last one.
 */
#ifndef KERNELSIGHT_FAULT_COUNTS_H
#define KERNELSIGHT_FAULT_COUNTS_H

#include "faulting.h"

struct task_struct___faults {
	int pid, tgid, pagefault_disabled;
	unsigned long min_flt, maj_flt;
	u64 start_time;
	struct task_struct___faults *group_leader;
	char comm[COMM_LEN];
} VIEW;

const volatile u64 opened_at;

u64 ended_lost;

/* What a thread had since it was looked at last. */
struct counted {
	u64 minor_faults, major_faults, fault_ns, max_latency_ns, cgroup_id;
	u32 pid, tid;
	char comm[COMM_LEN];
};

struct ended_key {
	u64 start_time, tid;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ended_key);
	__type(value, struct counted);
} ended SEC(".maps"); /* threads; never added to, so that none is lost while it is emptied */

/* What a thread had since it was seen last; false when that is nothing. A thread without storage was at 0. */
static __always_inline bool count(struct task_struct___faults *task, struct thread *thread, struct counted *counted)
{
	counted->minor_faults = task->min_flt;
	counted->major_faults = task->maj_flt;
	counted->fault_ns = counted->max_latency_ns = 0;
	if (thread) {
		counted->minor_faults -= thread->seen_minor;
		counted->major_faults -= thread->seen_major;
		counted->fault_ns = thread->spent_ns - thread->seen_spent_ns;
		counted->max_latency_ns = counted->fault_ns ? thread->longest_ns : 0; /* else one that is not added yet */
	}
	counted->cgroup_id = cgroup_of((void *)task);
	counted->pid = task->tgid;
	counted->tid = task->pid;
	return counted->minor_faults || counted->major_faults || counted->fault_ns;
}

static __always_inline void remember(struct thread *thread, const struct counted *counted)
{
	thread->seen_minor += counted->minor_faults;
	thread->seen_major += counted->major_faults;
	thread->seen_spent_ns += counted->fault_ns;
	if (thread->longest_ns == counted->max_latency_ns)
		thread->longest_ns = 0;
}

SEC("iter/task")
int scan_faults(struct task_iterator *ctx)
{
	struct task_struct___faults *task = (void *)ctx->task;
	struct counted counted;
	struct thread *thread;

	if (!task || !(task->min_flt | task->maj_flt))
		return 0;
	thread = bpf_task_storage_get(&threads, (void *)task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread) {
		add(threads_missed, 1);
		return 0;
	}
	if (!count(task, thread, &counted))
		return 0;
	BPF_CORE_READ_INTO(&counted.comm, task, group_leader, comm);
	/* When the buffer is full the kernel empties it and comes back with this task. */
	if (!bpf_seq_write(ctx->meta->seq, &counted, sizeof(counted)))
		remember(thread, &counted);
	return 0;
}

/* Later than its exit: a thread has faults until its memory is taken from it. */
SEC("tp_btf/sched_process_free")
int on_thread_free(u64 *ctx)
{
	BPF_ARG(struct task_struct___faults *, task, 0);
	struct thread *thread = bpf_task_storage_get(&threads, (void *)task, 0, 0);
	struct ended_key key = {.start_time = task->start_time, .tid = task->pid};
	struct counted counted;

	if (!thread && task->start_time <= opened_at)
		return 0; /* it had ended before we came */
	if (!count(task, thread, &counted))
		return 0;
	__builtin_memcpy(counted.comm, task->comm, COMM_LEN);
	if (bpf_map_update_elem(&ended, &key, &counted, BPF_ANY))
		add(ended_lost, 1);
	return 0;
}

#endif
