/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Long waits for a CPU, and what every process used of the scheduler.
 *
 * The kernel counts switches and queueing itself and sched_switch adds up the CPU time, so the
 * sums cost nothing more there: a scan over all threads takes the differences once a second, and
 * the last switch of a thread takes its last one (since 6.16 sched_process_exit comes before the
 * memory is given back, which is much of what a short process does).
 */
#ifndef KERNELSIGHT_SCHEDULER_H
#define KERNELSIGHT_SCHEDULER_H

#include "threads.h"

const volatile u64 queue_threshold_ns = 10000000;

u64 queue_waits_lost, families_lost;
u64 scanned_at; /* start of the scan before; threads that began later are new */

struct queue_wait {
	u64 ran_at, latency_ns, cgroup_id;
	u32 pid, tid, cpu, prev_state, prev_pid;
	char comm[COMM_LEN], prev_comm[COMM_LEN];
	u32 padding;
};
RECORD(queue_wait);

#define QUEUE_WAITS_SIZE (1 << 18)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, QUEUE_WAITS_SIZE);
} queue_waits SEC(".maps");

/* What threads did since they were looked at last. */
struct usage {
	u64 cpu_ns, delay_ns, voluntary_switches, involuntary_switches, wakeups;
};

/* One process: its children, and its threads that ended. */
struct family {
	struct usage ended;
	u64 forks, threads_started, execs, exits, lifetime_ns, cgroup_id;
	char comm[COMM_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct family);
} families SEC(".maps");

struct scanned {
	struct usage usage;
	u64 cgroup_id;
	u32 pid, tid;
	char comm[COMM_LEN], thread_comm[COMM_LEN];
};
RECORD(scanned);

static __noinline int add_queue_wait(struct task_struct *next, struct task_struct *prev, u64 now, u64 queued)
{
	struct queue_wait *wait = bpf_ringbuf_reserve(&queue_waits, sizeof(*wait), 0);

	if (!wait) {
		add(queue_waits_lost, 1);
		return 0;
	}
	wait->ran_at = now;
	wait->latency_ns = queued;
	wait->cgroup_id = cgroup_of(next);
	wait->pid = next->tgid;
	wait->tid = next->pid;
	wait->cpu = bpf_get_smp_processor_id();
	wait->prev_state = prev->__state;
	wait->prev_pid = prev->pid;
	wait->padding = 0;
	__builtin_memcpy(wait->comm, next->comm, COMM_LEN);
	__builtin_memcpy(wait->prev_comm, prev->comm, COMM_LEN);
	bpf_ringbuf_submit(wait, wakeup_if_filling(&queue_waits, QUEUE_WAITS_SIZE));
	return 0;
}

/* The differences to what was known of a thread; false where nothing was and it is not new. */
static __always_inline bool take_usage(struct task_struct *task, struct thread *thread, u64 now, struct usage *usage)
{
	u64 on_at = thread->on_at, cpu_ns = thread->cpu_ns;
	u64 delay_ns = KERNEL_KEEPS_DELAYS(task) ? task->sched_info.run_delay : thread->delay_ns;
	u64 voluntary = task->nvcsw, involuntary = task->nivcsw;
	u32 wakeups = thread->wakeups;
	bool known = thread->known || task->start_time > scanned_at;

	/* Running now, and not switched out while we looked. */
	if (on_at >= began && on_at < now && on_at == *(volatile u64 *)&thread->on_at)
		cpu_ns += now - on_at;
	usage->cpu_ns = cpu_ns > thread->seen_cpu_ns ? cpu_ns - thread->seen_cpu_ns : 0;
	usage->delay_ns = delay_ns - thread->seen_delay_ns;
	usage->voluntary_switches = voluntary - thread->seen_voluntary;
	usage->involuntary_switches = involuntary - thread->seen_involuntary;
	usage->wakeups = wakeups - thread->seen_wakeups;
	thread->seen_cpu_ns += usage->cpu_ns;
	thread->seen_delay_ns = delay_ns;
	thread->seen_voluntary = voluntary;
	thread->seen_involuntary = involuntary;
	thread->seen_wakeups = wakeups;
	thread->known = 1;
	return known && (usage->cpu_ns || usage->delay_ns || usage->voluntary_switches || usage->involuntary_switches);
}

static __always_inline struct family *family_of(struct task_struct *process)
{
	u32 pid = process->tgid;
	struct family *family = bpf_map_lookup_elem(&families, &pid);

	if (!family) {
		struct family first = {.cgroup_id = cgroup_of(process)};

		__builtin_memcpy(first.comm, process->group_leader->comm, COMM_LEN);
		bpf_map_update_elem(&families, &pid, &first, BPF_NOEXIST);
		family = bpf_map_lookup_elem(&families, &pid);
		if (!family)
			add(families_lost, 1);
	}
	return family;
}

/* A thread leaves its CPU for the last time. */
static __noinline int add_last_usage(struct task_struct *task, struct thread *thread, u64 now)
{
	struct family *family;
	struct usage usage;

	if (!take_usage(task, thread, now, &usage) || !(family = family_of(task)))
		return 0;
	add(family->ended.cpu_ns, usage.cpu_ns);
	add(family->ended.delay_ns, usage.delay_ns);
	add(family->ended.voluntary_switches, usage.voluntary_switches);
	add(family->ended.involuntary_switches, usage.involuntary_switches);
	add(family->ended.wakeups, usage.wakeups);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int on_fork(u64 *ctx)
{
	BPF_ARG(struct task_struct *, parent, 0);
	BPF_ARG(struct task_struct *, child, 1);
	struct family *family;

	family = family_of(parent);
	if (family && child->pid == child->tgid)
		add(family->forks, 1);
	else if (family)
		add(family->threads_started, 1);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int on_exec(u64 *ctx)
{
	BPF_ARG(struct task_struct *, task, 0);
	struct family *family = family_of(task);

	if (family)
		add(family->execs, 1);
	family = family_of(task->real_parent);
	if (family)
		add(family->execs, 1);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int on_thread_exit(u64 *ctx)
{
	BPF_ARG(struct task_struct *, task, 0);
	struct family *family;

	if (task->pid == task->tgid && (family = family_of(task->real_parent))) {
		add(family->exits, 1);
		add(family->lifetime_ns, since(task->start_time, bpf_ktime_get_ns()));
	}
	return 0;
}

/* What was taken could not be passed on: the next look has it again. */
static __always_inline void give_back(struct thread *thread, struct usage *usage)
{
	thread->seen_cpu_ns -= usage->cpu_ns;
	thread->seen_delay_ns -= usage->delay_ns;
	thread->seen_voluntary -= usage->voluntary_switches;
	thread->seen_involuntary -= usage->involuntary_switches;
	thread->seen_wakeups -= usage->wakeups;
}

SEC("iter/task")
int scan_threads(struct task_iterator *ctx)
{
	struct task_struct *task = ctx->task;
	struct thread *thread;
	struct scanned record;

	if (!task || !task->pid)
		return 0;
	thread = thread_of(task, CREATE);
	if (!thread || !take_usage(task, thread, bpf_ktime_get_ns(), &record.usage))
		return 0;
	record.cgroup_id = cgroup_of(task);
	record.pid = task->tgid;
	record.tid = task->pid;
	BPF_CORE_READ_INTO(&record.comm, task, group_leader, comm);
	__builtin_memcpy(record.thread_comm, task->comm, COMM_LEN);
	if (!bpf_seq_write(ctx->meta->seq, &record, sizeof(record)))
		return 0;
	give_back(thread, &record.usage);
	return 1; /* the buffer is full: the kernel empties it and comes back with this thread */
}

#endif
