/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Threads that have waited for a word of memory (futex) for some time, and where they stand.
 *
 * A pass over all threads, once a second: what switches threads pays nothing for it.
 */
#include "calls.h"

#define INTERRUPTIBLE 1

const volatile int futex_call, futex_wait_call;
const volatile u64 threshold_ns = 10000000;

struct sched_info___arrival { u64 last_arrival; } VIEW;
struct task_struct___arrival { struct sched_info___arrival sched_info; } VIEW;

#if defined(__TARGET_ARCH_x86)
struct pt_regs___place { unsigned long bp, ip, sp; } VIEW;
#define FRAME(at) ((at)->bp)
#define PLACE(at) ((at)->ip)
#else
struct pt_regs___place { u64 regs[31]; u64 sp, pc; } VIEW;
#define FRAME(at) ((at)->regs[29])
#define PLACE(at) ((at)->pc)
#endif

struct lock_waiter {
	u64 asleep_ns, word, place, stack, frame, cgroup_id;
	u32 pid, tid;
	char comm[COMM_LEN];
};
RECORD(lock_waiter);

struct word_key {
	u64 word;
	u32 pid, padding;
};

/* Words that are no locks, as the reader has found: pools of idle threads wait for thousands of them. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct word_key);
	__type(value, u64);
} no_locks SEC(".maps");

SEC("iter/task")
int lock_waiters(struct task_iterator *ctx)
{
	struct task_struct___arrival *self = (void *)bpf_get_current_task();
	struct task_struct *task = ctx->task;
	struct lock_waiter waiter = {};
	struct word_key key = {};
	struct pt_regs___place *at;
	struct pt_regs *regs;
	u64 now, then;
	int call;

	if (!task || !(task->__state & INTERRUPTIBLE))
		return 0;
	call = call_of(task);
	if (call < 0 || (call != futex_call && call != futex_wait_call))
		return 0;
	now = BPF_CORE_READ(self, sched_info.last_arrival);
	then = BPF_CORE_READ((struct task_struct___arrival *)task, sched_info.last_arrival);
	if (now < then + threshold_ns)
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (!regs)
		return 0;
	key.word = ARG0(regs);
	key.pid = task->tgid;
	if (bpf_map_lookup_elem(&no_locks, &key))
		return 0;
	at = (void *)regs;
	waiter.asleep_ns = now - then;
	waiter.word = key.word;
	waiter.place = PLACE(at);
	waiter.stack = at->sp;
	waiter.frame = FRAME(at);
	waiter.cgroup_id = cgroup_of(task);
	waiter.pid = key.pid;
	waiter.tid = task->pid;
	BPF_CORE_READ_STR_INTO(&waiter.comm, task, group_leader, comm);
	bpf_seq_write(ctx->meta->seq, &waiter, sizeof(waiter));
	return 0;
}
