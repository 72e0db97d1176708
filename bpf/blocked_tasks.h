/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Threads that have waited for storage or for a lock of the kernel for long, with what they sleep in. */
#ifndef KERNELSIGHT_BLOCKED_TASKS_H
#define KERNELSIGHT_BLOCKED_TASKS_H

#include "threads.h"

#define MAX_FRAMES 32
#define INNERMOST 8  /* of them, in which a wait for a server shows */
#define LARGEST 2048 /* bytes of a function; the reader looks for its name */

/*
 * Where FUSE waits for its server (fs/fuse/dev.c): interruptibly, until a signal comes, though nothing but
 * the answer ends it. Other file systems over a network sleep uninterruptibly but for fatal signals.
 */
extern const void request_wait_answer __ksym __weak;

const volatile u64 blocked_threshold_ns = 1000000000;

/* Followed by one line for every frame, innermost first. */
struct blocked {
	u64 now, off_at, switches, start_time, arg0, cgroup_id;
	u32 pid, tid;
	int call;
	u32 frames;
	u32 state, unused;
	char comm[COMM_LEN];
};
RECORD(blocked);

static __always_inline bool waits_for_server(const u64 *frames, u32 count)
{
	u64 place = (u64)&request_wait_answer;
	u32 i;

	if (!place)
		return false;
	for (i = 0; i < INNERMOST && i < count; i++)
		if (frames[i] - place < LARGEST)
			return true;
	return false;
}

SEC("iter/task")
int scan_blocked(struct task_iterator *ctx)
{
	struct task_struct *task = ctx->task;
	struct blocked record = {};
	u64 frames[MAX_FRAMES];
	struct thread *thread;
	struct pt_regs *regs;
	long size;
	u32 i;

	if (!task)
		return 0;
	record.state = state_of(task, false);
	record.call = call_of(task);
	if (record.state == RUNNABLE)
		return 0;
	if (record.state == INTERRUPTIBLE && !(flags_of_call(record.call) & CALL_ON_FILES))
		return 0;
	record.now = bpf_ktime_get_ns();
	thread = thread_of(task, 0);
	record.off_at = thread ? thread->off_at : 0;
	if (record.off_at < began)
		record.off_at = 0;
	if (record.off_at && record.now < record.off_at + blocked_threshold_ns)
		return 0;
	size = bpf_get_task_stack(task, frames, sizeof(frames), 0);
	record.frames = size > 0 ? (u64)size >> 3 : 0;
	if (record.state == INTERRUPTIBLE && !waits_for_server(frames, record.frames))
		return 0;
	record.switches = task->nvcsw + task->nivcsw;
	record.start_time = task->start_time;
	record.cgroup_id = cgroup_of(task);
	record.pid = task->tgid;
	record.tid = task->pid;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (record.call >= 0 && regs)
		record.arg0 = ARG0(regs);
	__builtin_memcpy(record.comm, task->comm, COMM_LEN);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	for (i = 0; i < MAX_FRAMES; i++) {
		if (i >= record.frames)
			break;
		BPF_SEQ_PRINTF(ctx->meta->seq, "%pB\n", (void *)frames[i]);
	}
	return 0;
}

#endif
