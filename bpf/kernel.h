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
	unsigned long long last_queued; /* by the run queue's clock; 0: not queued */
} VIEW;

struct rq {
	u64 clock;
} VIEW;

struct cfs_rq {
	struct rq *rq;
} VIEW;

struct sched_entity {
	struct cfs_rq *cfs_rq;
	u64 sum_exec_runtime;
} VIEW;

struct thread_info {
	unsigned long flags;
	u32 status;	   /* x86 */
	u64 preempt_count; /* arm64 */
} VIEW;

struct uid_view {
	u32 val;
} VIEW;

struct task_struct {
	struct thread_info thread_info;
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
#define PF_IO_WORKER 0x00000010
#define PF_USER_WORKER 0x00004000
#define TASK_UNINTERRUPTIBLE 0x0002
#define TASK_DEAD 0x0080
#define TASK_NOLOAD 0x0400
#define TASK_RTLOCK_WAIT 0x1000

struct iterator_meta {
	struct seq_file *seq;
};

/* The context of a program on iter/task (struct bpf_iter__task). */
struct task_iterator {
	struct iterator_meta *meta;
	struct task_struct *task;
};

/* u64 cgroup v2 id of a task; 0 while it exits. */
static __always_inline u64 cgroup_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

#endif
