/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Slow system calls, and those that fail for want of something.
 *
 * The hook on sys_exit looks only at its CPU's slot. sched_switch puts the start of a call there
 * when a thread comes back that went to sleep in it; the timer tick does so for a call that it
 * finds running twice in a row, because a call that never leaves the CPU meets no switch.
 */
#ifndef KERNELSIGHT_SYSCALLS_H
#define KERNELSIGHT_SYSCALLS_H

#include "file_place.h"
#include "threads.h"

const volatile u64 call_threshold_ns = 10000000;
const volatile bool include_waits = false;
const volatile u8 watched_errors[256]; /* 1: count it; 2: only of calls that may be refused */

u64 calls_lost, errors_lost;

struct slow_call {
	u64 returned_at, latency_ns, runqueue_ns, blocked_ns, sleep_ns, arg0, cgroup_id;
	s64 ret_value;
	u32 pid, tid, uid, cpu;
	int call;
	char comm[COMM_LEN];
	u32 padding;
};
RECORD(slow_call);

#define SLOW_CALLS_SIZE (1 << 19)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SLOW_CALLS_SIZE);
} slow_calls SEC(".maps");

struct error_key {
	u32 pid;
	int call;
	u32 errno;
	u32 device; /* of the file; UNKNOWN_DEVICE where the call does not tell it */
};

struct error_count {
	u64 count, cgroup_id;
	char comm[COMM_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct error_key);
	__type(value, struct error_count);
} call_errors SEC(".maps");

static __noinline int call_returned(struct pt_regs *regs, long result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_of(task, 0);
	u64 now = bpf_ktime_get_ns(), counted, latency;
	struct slow_call *slow;
	int call = CALL_NUMBER(regs);

	if (!thread || !thread->call_start)
		return 0;
	counted = latency = since(thread->call_start, now);
	thread->call_start = 0;
	/* A call that failed with ENOSYS looks as if it went on to the switch that it meets on its way out. */
	if (call != (thread->call & ~COMPAT_CALL))
		return 0;
	if (!include_waits && (flags_of_call(thread->call) & CALL_WAITS_BY_DESIGN))
		counted = since(thread->sleep_ns, latency);
	if (counted < call_threshold_ns)
		return 0;
	slow = bpf_ringbuf_reserve(&slow_calls, sizeof(*slow), 0);
	if (!slow) {
		add(calls_lost, 1);
		return 0;
	}
	slow->returned_at = now;
	slow->latency_ns = latency;
	slow->runqueue_ns = thread->runqueue_ns;
	slow->blocked_ns = thread->blocked_ns;
	slow->sleep_ns = thread->sleep_ns;
	slow->arg0 = ARG0(regs);
	slow->cgroup_id = bpf_get_current_cgroup_id();
	slow->ret_value = result;
	slow->pid = task->tgid;
	slow->tid = task->pid;
	slow->uid = bpf_get_current_uid_gid();
	slow->cpu = bpf_get_smp_processor_id();
	slow->call = thread->call;
	slow->padding = 0;
	bpf_get_current_comm(slow->comm, COMM_LEN);
	bpf_ringbuf_submit(slow, wakeup_if_filling(&slow_calls, SLOW_CALLS_SIZE));
	return 0;
}

static __noinline int call_failed(struct pt_regs *regs, u32 error)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct error_key key = {.pid = task->tgid, .call = CALL_NUMBER(regs), .errno = error, .device = UNKNOWN_DEVICE};
	struct error_count *found, first = {.count = 1};
	u8 watched = watched_errors[error & 255];

	if (IS_COMPAT(task))
		key.call += COMPAT_CALL;
	if (!watched || (watched == 2 && !(flags_of_call(key.call) & CALL_MAY_BE_REFUSED)))
		return 0;
	if (watched == 1 && !(key.call & COMPAT_CALL))
		key.device = device_of_call(regs, key.call);
	found = bpf_map_lookup_elem(&call_errors, &key);
	if (found) {
		add(found->count, 1);
		return 0;
	}
	first.cgroup_id = bpf_get_current_cgroup_id();
	bpf_get_current_comm(first.comm, COMM_LEN);
	if (bpf_map_update_elem(&call_errors, &key, &first, BPF_ANY))
		add(errors_lost, 1);
	return 0;
}

SEC("tp_btf/sys_exit")
int on_exit(u64 *ctx)
{
	BPF_ARG(struct pt_regs *, regs, 0);
	BPF_ARG(long, result, 1);
	struct slot *slot = this_slot();

	if (result < 0 && result > -256 && (features & CALL_ERRORS))
		call_failed(regs, -result);
	if (!slot)
		return 0;
	slot->exits++;
	if (slot->call_start) {
		slot->call_start = 0;
		call_returned(regs, result);
	}
	return 0;
}

static __always_inline void begin_call(struct thread *thread, int call, u64 start)
{
	thread->call = call;
	thread->call_start = start;
	thread->runqueue_ns = thread->blocked_ns = thread->sleep_ns = 0;
}

/*
 * The tick is a timer like any other; the others make the sampling finer. A CPU without a tick
 * (nohz_full=) or a kernel without high-resolution timers (highres=off) has calls that never leave
 * the CPU only where another timer meets them.
 */
SEC("tp_btf/hrtimer_expire_entry")
int on_tick(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct slot *slot = this_slot();
	u64 now, before;
	int call;

	if (!slot || !task->pid)
		return 0;
	now = bpf_ktime_get_ns();
	before = slot->ticked_at > slot->switched_at ? slot->ticked_at : slot->switched_at;
	call = call_of(task);
	if (call < 0 || slot->call_start) {
		slot->maybe_start = 0;
	} else if (!slot->maybe_start || slot->tick_exits != slot->exits) {
		slot->maybe_start = before + since(before, now) / 2;
	} else {
		struct thread *thread = thread_of(task, CREATE);

		if (thread) {
			begin_call(thread, call, slot->maybe_start);
			slot->call_start = slot->maybe_start;
		}
	}
	slot->ticked_at = now;
	slot->tick_exits = slot->exits;
	return 0;
}

#endif
