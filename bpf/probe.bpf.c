/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The smallest program of every kind, each loaded alone to see what is allowed here (collectors/bpf/probe.py). */
#include "common.h"

u64 seen; /* events that reached the program */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u64);
} storage SEC(".maps");

SEC("tp_btf/sys_enter")
int btf_tracepoint(u64 *ctx)
{
	seen = 1;
	return 0;
}

SEC("tp_btf/sys_enter")
int ring_buffer(u64 *ctx)
{
	u64 record = 1;

	if (!bpf_ringbuf_output(&records, &record, sizeof(record), 0))
		seen = 1;
	return 0;
}

SEC("tp_btf/sys_enter")
int task_storage(u64 *ctx)
{
	if (bpf_task_storage_get(&storage, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE))
		seen = 1;
	return 0;
}

SEC("iter/task")
int iterator(struct task_iterator *ctx)
{
	if (ctx->task)
		seen = 1;
	return 0;
}

/* Found by its number in tracefs, unlike those above. */
SEC("tracepoint/sched/sched_process_exit")
int tracepoint(void *ctx)
{
	return 0;
}

/* A function that the kernel calls only to test itself. */
SEC("fentry/bpf_fentry_test1")
int fentry(u64 *ctx)
{
	return 0;
}

SEC("kprobe/bpf_fentry_test1")
int kprobe(void *ctx)
{
	return 0;
}
