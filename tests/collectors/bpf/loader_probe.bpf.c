/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts getppid calls of one process in every kind of map that the loader reads. */
#include "common.h"

#ifdef BROKEN
SEC("tp_btf/no_such_tracepoint")
int broken(u64 *ctx)
{
	return 0;
}
#endif

const volatile int wanted_pid = -1;
const volatile u8 table[16];
u64 calls;
u32 doubled[4];
s32 signed_pair[2];
struct pair { u32 one, other; } structure;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u32);
} counts_percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} records SEC(".maps");

SEC("tp_btf/sys_exit")
int on_exit(u64 *ctx)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	u64 first = 1, number = calls, *count;
	u32 one = 1, *percpu;

	if ((int)pid != wanted_pid)
		return 0;
	add(calls, 1);
	doubled[2] = table[3] * 2;
	u32 key = number & 4095;
	count = bpf_map_lookup_elem(&counts, &key);
	if (count)
		add(*count, 1);
	else
		bpf_map_update_elem(&counts, &key, &first, BPF_ANY);
	percpu = bpf_map_lookup_elem(&counts_percpu, &pid);
	if (percpu)
		*percpu += 1;
	else
		bpf_map_update_elem(&counts_percpu, &pid, &one, BPF_ANY);
	bpf_ringbuf_output(&records, &number, sizeof(number), 0);
	return 0;
}

struct bpf_iter_meta_view {
	struct seq_file *seq;
};

struct bpf_iter__task_view {
	struct bpf_iter_meta_view *meta;
	struct task_struct *task;
};

SEC("iter/task")
int each_task(struct bpf_iter__task_view *ctx)
{
	struct task_struct *task = ctx->task;

	if (task) {
		u32 pid = task->pid;

		bpf_seq_write(ctx->meta->seq, &pid, sizeof(pid));
	}
	return 0;
}
