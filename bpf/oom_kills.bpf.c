/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes that the kernel kills because memory ran out, with what they had at that moment. */
#include "common.h"

#define MAX_DEPTH 10
#define MAX_NAME 256

enum cgroup_subsys_id { memory_cgrp_id = 4 }; /* the running kernel's number counts */
enum { FILE_PAGES, ANON_PAGES, SWAP_ENTRIES, SHMEM_PAGES, MEMORY_COUNTERS };

typedef struct { long counter; } atomic_long_t;
struct kernfs_node___path {
	const char *name;
	struct kernfs_node___path *__parent;
} VIEW;
struct kernfs_node___6_14 { struct kernfs_node___path *parent; } VIEW; /* until 633488947ef6, 6.15 */
struct cgroup___path { struct kernfs_node___path *kn; } VIEW;
struct cgroup_subsys_state { struct cgroup___path *cgroup; } VIEW;
struct css_set___memory { struct cgroup_subsys_state *subsys[16]; } VIEW;
struct percpu_counter { s64 count; } VIEW;
struct mm_rss_stat { atomic_long_t count[MEMORY_COUNTERS]; } VIEW; /* until f1a7941243c1, 6.2 */
struct mm_struct___6_1 { struct mm_rss_stat rss_stat; } VIEW;
struct mm_struct {
	unsigned long total_vm;
	struct percpu_counter rss_stat[MEMORY_COUNTERS];
	atomic_long_t pgtables_bytes;
} VIEW;
struct signal_struct { s16 oom_score_adj; } VIEW;
struct cred { struct uid_view uid; } VIEW;
struct task_struct___victim {
	int pid, tgid;
	struct mm_struct *mm;
	struct task_struct___victim *group_leader;
	u64 start_time;
	const struct cred *real_cred;
	char comm[COMM_LEN];
	struct css_set *cgroups;
	struct signal_struct *signal;
} VIEW;
struct trace_event_raw_mark_victim { u32 uid; } VIEW;

struct kill {
	u64 at, start_time, cgroup_id;
	s64 total_vm, file, anon, shmem, page_table_bytes;
	u32 pid, uid, trigger_pid, depth;
	s32 oom_score_adj;
	u32 described; /* 0: the kernel said the pid alone, everything else of the victim is unknown */
	char comm[COMM_LEN], trigger_comm[COMM_LEN];
	char path[MAX_DEPTH][MAX_NAME]; /* of the group that its memory is charged to; innermost name first */
};
RECORD(kill);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 17);
} kills SEC(".maps");

u64 kills_lost;

static __always_inline struct kernfs_node___path *parent_of(struct kernfs_node___path *node)
{
	struct kernfs_node___6_14 *old = (void *)node;

	if (bpf_core_field_exists(old->parent))
		return BPF_CORE_READ(old, parent);
	return BPF_CORE_READ(node, __parent);
}

static __always_inline void read_path(struct kill *kill, struct css_set___memory *set)
{
	struct cgroup_subsys_state *memory;
	struct kernfs_node___path *node, *parent;

	if (!bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		return;
	bpf_probe_read_kernel(&memory, sizeof(memory),
			      &set->subsys[0] + bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id));
	node = BPF_CORE_READ(memory, cgroup, kn);
	for (u32 i = 0; i < MAX_DEPTH; i++) {
		parent = parent_of(node);
		if (!parent) {
			kill->depth = i + 1; /* whole */
			return;
		}
		bpf_probe_read_kernel_str(kill->path[i], MAX_NAME, BPF_CORE_READ(node, name));
		node = parent;
	}
}

static __always_inline void read_memory(struct kill *kill, struct mm_struct *mm)
{
	struct mm_struct___6_1 *old = (void *)mm;

	kill->total_vm = BPF_CORE_READ(mm, total_vm);
	kill->page_table_bytes = BPF_CORE_READ(mm, pgtables_bytes.counter);
	/* The same running counts that the kernel's log shows. */
	if (bpf_core_type_exists(struct mm_rss_stat)) {
		kill->file = BPF_CORE_READ(old, rss_stat.count[FILE_PAGES].counter);
		kill->anon = BPF_CORE_READ(old, rss_stat.count[ANON_PAGES].counter);
		kill->shmem = BPF_CORE_READ(old, rss_stat.count[SHMEM_PAGES].counter);
		return;
	}
	kill->file = BPF_CORE_READ(mm, rss_stat[FILE_PAGES].count);
	kill->anon = BPF_CORE_READ(mm, rss_stat[ANON_PAGES].count);
	kill->shmem = BPF_CORE_READ(mm, rss_stat[SHMEM_PAGES].count);
}

static __always_inline void describe(struct kill *kill, struct task_struct___victim *task)
{
	kill->described = 1;
	kill->pid = BPF_CORE_READ(task, tgid);
	kill->start_time = BPF_CORE_READ(task, group_leader, start_time);
	kill->uid = BPF_CORE_READ(task, real_cred, uid.val);
	kill->oom_score_adj = BPF_CORE_READ(task, signal, oom_score_adj);
	kill->cgroup_id = cgroup_of((struct task_struct *)task);
	BPF_CORE_READ_INTO(&kill->comm, task, group_leader, comm);
	read_memory(kill, BPF_CORE_READ(task, mm));
	read_path(kill, (struct css_set___memory *)BPF_CORE_READ(task, cgroups));
}

SEC("tp_btf/mark_victim")
int on_victim(u64 *ctx)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct kill *kill = bpf_ringbuf_reserve(&kills, sizeof(*kill), 0);

	if (!kill) {
		add(kills_lost, 1);
		return 0;
	}
	__builtin_memset(kill, 0, sizeof(*kill) - sizeof(kill->path));
	kill->at = bpf_ktime_get_ns();
	kill->trigger_pid = current->tgid;
	bpf_get_current_comm(kill->trigger_comm, COMM_LEN);
	/* Since 72ba14deb40a (6.9, and the stable kernels of February 2025) it is the task, before that its number. */
	if (bpf_core_field_exists(struct trace_event_raw_mark_victim, uid))
		describe(kill, (void *)ctx[0]);
	else if ((u32)current->pid == (u32)ctx[0])
		describe(kill, (void *)current);
	else
		kill->pid = ctx[0];
	bpf_ringbuf_submit(kill, 0);
	return 0;
}
