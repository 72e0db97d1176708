/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How processes end: their status or signal, by parent and name. */
#include "common.h"

#define PF_FORKNOEXEC 0x00000040

#define SIGNAL_GROUP_EXIT 0x00000004

struct signal_struct { struct { int counter; } live; unsigned int flags; int group_exit_code; } VIEW;
struct task_struct___exit { int exit_code; struct signal_struct *signal; } VIEW;

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

struct first_thread { u64 task, start_time; };

/*
 * First threads of processes that have ended and left the others (pthread_exit in main), until the last one
 * has. By address and time of start: one that another thread replaces by execve(2) is not the first any more.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct first_thread);
	__type(value, u32);
} left_early SEC(".maps");

/* Whether a process ends with this thread; two that end at once are both the last one (do_exit in kernel/exit.c). */
static __always_inline bool ends(struct task_struct *task, struct signal_struct *signal)
{
	struct task_struct *leader = task->group_leader;
	struct first_thread key = {.task = (u64)leader, .start_time = leader->start_time};
	u32 pid = task->tgid;

	if (task->pid != task->tgid)
		return !signal->live.counter && !bpf_map_delete_elem(&left_early, &key);
	if (!signal->live.counter || signal->flags & SIGNAL_GROUP_EXIT)
		return true;
	bpf_map_update_elem(&left_early, &key, &pid, BPF_ANY);
	return false;
}

SEC("tp_btf/sched_process_exit")
int on_process_exit(u64 *ctx)
{
	BPF_ARG(struct task_struct *, task, 0);
	struct task_struct *parent = task->real_parent;
	struct signal_struct *signal = ((struct task_struct___exit *)task)->signal;
	struct exit_key key = {.parent_pid = parent->tgid};
	struct exit_count *known, first = {};
	struct task_struct *leader = task->group_leader;
	u64 now = bpf_ktime_get_ns(), lived = now > leader->start_time ? now - leader->start_time : 0;

	if (!ends(task, signal))
		return 0;
	/* As wait(2) has it (wait_task_zombie); set before the tracepoint in all versions (do_exit in kernel/exit.c). */
	if (signal->flags & SIGNAL_GROUP_EXIT)
		key.code = signal->group_exit_code;
	else
		key.code = ((struct task_struct___exit *)leader)->exit_code;
	__builtin_memcpy(key.comm, leader->comm, COMM_LEN);
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
	known->pid = task->tgid;
	return 0;
}
