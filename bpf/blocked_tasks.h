/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Threads that have been in uninterruptible sleep for long, with what they sleep in. */
#ifndef KERNELSIGHT_BLOCKED_TASKS_H
#define KERNELSIGHT_BLOCKED_TASKS_H

#include "threads.h"

#define MAX_FRAMES 32

const volatile u64 blocked_threshold_ns = 1000000000;

/* Followed by one line for every frame, innermost first. */
struct blocked {
	u64 now, off_at, switches, start_time, arg0, cgroup;
	u32 pid, tid;
	int call;
	u32 frames;
	char comm[COMM_LEN];
};

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

	if (!task || state_of(task, false) != UNINTERRUPTIBLE)
		return 0;
	record.now = bpf_ktime_get_ns();
	thread = thread_of(task, 0);
	record.off_at = thread ? thread->off_at : 0;
	if (record.off_at < began)
		record.off_at = 0;
	if (record.off_at && record.now < record.off_at + blocked_threshold_ns)
		return 0;
	record.switches = task->nvcsw + task->nivcsw;
	record.start_time = task->start_time;
	record.cgroup = cgroup_of(task);
	record.pid = task->tgid;
	record.tid = task->pid;
	record.call = call_of(task);
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (record.call >= 0 && regs)
		record.arg0 = ARG0(regs);
	__builtin_memcpy(record.comm, task->comm, COMM_LEN);
	size = bpf_get_task_stack(task, frames, sizeof(frames), 0);
	record.frames = size > 0 ? (u64)size >> 3 : 0;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	for (i = 0; i < MAX_FRAMES; i++) {
		if (i >= record.frames)
			break;
		BPF_SEQ_PRINTF(ctx->meta->seq, "%pB\n", (void *)frames[i]);
	}
	return 0;
}

#endif
