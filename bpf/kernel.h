/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Views of kernel structures; see common.h. */
#ifndef KERNELSIGHT_KERNEL_H
#define KERNELSIGHT_KERNEL_H

struct kernfs_node {
	u64 id;
} VIEW;

struct cgroup {
	struct kernfs_node *kn;
} VIEW;

struct css_set {
	struct cgroup *dfl_cgrp;
} VIEW;

struct sched_info {
	unsigned long long run_delay;
} VIEW;

struct sched_entity {
	u64 sum_exec_runtime;
} VIEW;

struct uid_view {
	u32 val;
} VIEW;

struct task_struct {
	unsigned int __state;
	unsigned int flags;
	int pid;
	int tgid;
	unsigned long nvcsw;
	unsigned long nivcsw;
	u64 start_time;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct css_set *cgroups;
	struct sched_entity se;
	struct sched_info sched_info;
	char comm[COMM_LEN];
} VIEW;

#define PF_KTHREAD 0x00200000

/* u64 cgroup v2 id of a task; 0 while it exits. */
static __always_inline u64 cgroup_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

#endif
