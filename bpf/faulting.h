/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fault that a thread is in: from its beginning to its end, whoever sees them. */
#ifndef KERNELSIGHT_FAULTING_H
#define KERNELSIGHT_FAULTING_H

#include "common.h"

/* enum fault_flag, whose numbers have not changed since 5.9. */
#define FAULT_FLAG_WRITE 0x1
#define FAULT_FLAG_TRIED 0x20
#define FAULT_FLAG_USER 0x40
#define FAULT_FLAG_INSTRUCTION 0x100
#define FAULT_FLAG_VMA_LOCK 0x1000 /* since 6.4 */
#define ACCESS_UNKNOWN 0x80000000  /* ours */

const volatile u64 threshold_ns = 1000000;

/* Set while loaded. */
u64 timed_since;     /* beginnings before it are of faults whose end nobody looked for */
u32 sample_below;    /* of 2^32: the share of minor faults that may be sampled */
s32 samples_left[2]; /* of minor, of major faults */

u64 faults_lost, starts_missed, threads_missed;

struct thread {
	u64 start; /* of the fault that it is in; 0: none */
	u64 address;
	u64 spent_ns, seen_spent_ns;
	u64 longest_ns; /* since the last scan */
	u64 seen_minor, seen_major;
	u32 flags;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

struct fault {
	u64 ended_at, latency_ns, address, cgroup_id;
	u32 pid, tid, cpu, flags, major;
	char comm[COMM_LEN];
	u32 padding;
};
RECORD(fault);

#define FAULTS_SIZE (1 << 18)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, FAULTS_SIZE);
} faults SEC(".maps");

static __always_inline int begin(u64 address, u32 flags)
{
	struct thread *thread = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0,
						     BPF_LOCAL_STORAGE_GET_F_CREATE);
	bool again;

	if (!thread) {
		add(threads_missed, 1);
		return 0;
	}
	/* The kernel tries again what it had to wait for, or what takes more than the lock of one mapping. */
	again = address == thread->address && thread->start &&
		(flags & FAULT_FLAG_TRIED || (thread->flags & ~flags & FAULT_FLAG_VMA_LOCK));
	if (!again)
		thread->start = bpf_ktime_get_ns();
	thread->address = address;
	thread->flags = flags;
	return 0;
}

static __always_inline bool sampled(u64 now, bool major)
{
	/* The clock's last digits are as good as a random number, and need not be asked for. */
	if (!major && (u32)(now * 2654435761U) > sample_below)
		return false;
	if (samples_left[major] <= 0)
		return false;
	add(samples_left[major], -1);
	return true;
}

static __noinline int report(struct thread *thread, u64 now, u64 latency_ns, bool major)
{
	struct fault *fault = bpf_ringbuf_reserve(&faults, sizeof(*fault), 0);
	u64 id = bpf_get_current_pid_tgid();

	if (!fault) {
		add(faults_lost, 1);
		return 0;
	}
	fault->ended_at = now;
	fault->latency_ns = latency_ns;
	fault->address = thread->address;
	fault->cgroup_id = bpf_get_current_cgroup_id();
	fault->pid = id >> 32;
	fault->tid = id;
	fault->cpu = bpf_get_smp_processor_id();
	fault->flags = thread->flags;
	fault->major = major;
	fault->padding = 0;
	bpf_get_current_comm(fault->comm, COMM_LEN);
	bpf_ringbuf_submit(fault, wakeup_if_filling(&faults, FAULTS_SIZE));
	return 0;
}

static __always_inline int end(bool major)
{
	struct thread *thread = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0, 0);
	u64 now, latency_ns;

	if (!thread || thread->start < timed_since) {
		if (thread && thread->address && !thread->start)
			add(starts_missed, 1);
		return 0;
	}
	now = bpf_ktime_get_ns();
	latency_ns = now - thread->start;
	thread->start = 0;
	thread->spent_ns += latency_ns;
	if (latency_ns > thread->longest_ns)
		thread->longest_ns = latency_ns;
	if (latency_ns >= threshold_ns || sampled(now, major))
		report(thread, now, latency_ns, major);
	return 0;
}

#endif
