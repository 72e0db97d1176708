/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How processes end: their status or signal, by parent and name. */
#include "common.h"

#define PF_FORKNOEXEC 0x00000040

struct task_struct___exit { int exit_code; } VIEW;

struct exit_key {
	u32 parent_pid, code;
	char comm[COMM_LEN];
};

struct exit_count {
	u64 count, lifetime_ns, cgroup_id;
	u32 pid;
	u32 executed; /* 0: it never executed a program of its own */
	char parent_comm[COMM_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, struct exit_key);
	__type(value, struct exit_count);
} exits SEC(".maps");

u64 exits_lost;

SEC("tp_btf/sched_process_exit")
int on_process_exit(u64 *ctx)
{
	BPF_ARG(struct task_struct *, task, 0);
	struct task_struct *parent = task->real_parent;
	struct exit_key key = {.parent_pid = parent->tgid};
	struct exit_count *known, first = {};
	u64 now = bpf_ktime_get_ns(), lived = now > task->start_time ? now - task->start_time : 0;

	if (task->pid != task->tgid)
		return 0;
	/* Set before the tracepoint in all versions (do_exit in kernel/exit.c). */
	key.code = ((struct task_struct___exit *)task)->exit_code;
	__builtin_memcpy(key.comm, task->comm, COMM_LEN);
	known = bpf_map_lookup_elem(&exits, &key);
	if (!known) {
		first.cgroup_id = cgroup_of(task);
		first.executed = !(task->flags & PF_FORKNOEXEC);
		__builtin_memcpy(first.parent_comm, parent->group_leader->comm, COMM_LEN);
		bpf_map_update_elem(&exits, &key, &first, BPF_NOEXIST);
		known = bpf_map_lookup_elem(&exits, &key);
		if (!known) {
			add(exits_lost, 1);
			return 0;
		}
	}
	add(known->count, 1);
	add(known->lifetime_ns, lived);
	known->pid = task->pid;
	return 0;
}
