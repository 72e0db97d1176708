/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every process, its threads added up, as one binary record each (read by collectors/bpf/process.py). */
#include "common.h"
#include "descriptors.h"

#define NOFILE 7 /* RLIMIT_NOFILE */
#define EXACT_CPUS 64
#define TASK_FROZEN 0x8000 /* by version 1, or by suspend (f5d39b020809, 6.1) */

typedef struct { long counter; } atomic_long_t;
struct task_io_accounting { u64 rchar, wchar, syscr, syscw, read_bytes, write_bytes, cancelled_write_bytes; } VIEW;
struct task_delay_info { u64 blkio_delay, swapin_delay, freepages_delay, thrashing_delay; } VIEW;
struct taskstats {
	u64 cpu_delay_total, blkio_delay_total, swapin_delay_total, freepages_delay_total, thrashing_delay_total;
} VIEW;
struct rlimit { unsigned long rlim_cur; } VIEW;
struct signal_struct {
	u32 nr_threads; /* an int that is never negative */
	u64 utime, stime;
	unsigned long nvcsw, nivcsw, min_flt, maj_flt, cnvcsw, cnivcsw;
	struct task_io_accounting ioac;
	unsigned long long sum_sched_runtime;
	struct rlimit rlim[16];
	struct taskstats *stats;
} VIEW;
struct percpu_counter { s64 count; s32 *counters; } VIEW;
struct mm_rss_stat { atomic_long_t count[4]; } VIEW;                        /* before 6.2 */
struct mm_struct { unsigned long total_vm; struct percpu_counter rss_stat[4]; } VIEW; /* f1a7941243c1, 6.2 */
struct mm_struct___5_15 { struct mm_rss_stat rss_stat; } VIEW;
struct cred { struct uid_view euid; } VIEW;
struct task_struct___process { /* more of it than any other program reads */
	unsigned int __state, flags;
	int static_prio, exit_state, pid, tgid;
	unsigned int frozen : 1; /* by version 2 (76f969e8948d, 5.2) */
	struct sched_entity se;
	struct sched_info sched_info;
	struct mm_struct *mm;
	struct task_struct___process *real_parent;
	u64 utime, stime, start_boottime;
	unsigned long nvcsw, nivcsw, min_flt, maj_flt;
	const struct cred *real_cred;
	char comm[16];
	struct files_struct *files;
	struct signal_struct *signal;
	struct task_io_accounting ioac;
	struct css_set *cgroups;
	struct task_delay_info *delays;
} VIEW;
struct bpf_array { void *pptrs[1]; } VIEW;
struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; } VIEW;
struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct___process *task; } VIEW;

struct io { u64 read_chars, write_chars, read_syscalls, write_syscalls, read_bytes, write_bytes, cancelled_write_bytes; };

/* A member with the name of a column of `Process` is that column. */
struct record {
	u64 start_boottime;
	u32 pid, seen, complete; /* seen: threads so far */
	u32 ppid, uid, state, exit_state, flags;
	s32 nice;
	u32 threads, delays_known, frozen;
	char comm[16];
	u64 utime, stime, runtime, minor_faults, major_faults, voluntary_switches, involuntary_switches;
	struct io io; /* of the threads that live */
	u64 cpu_delay_ns, blkio_delay_ns, swapin_delay_ns, reclaim_delay_ns, thrashing_delay_ns;
	union {
		s64 pages[4];
		struct { s64 file_pages, anon_pages, swap_pages, shared_pages; };
	};
	u64 vsize_pages, fds, fd_limit, cgroup_id;
	struct io ended_io; /* of threads that have ended, and of children that were waited for */
	u64 ended_runtime, children_switches; /* of the ones, and of the others */
	u64 sockets; /* not counted in every pass: what stands from here on does not say that a process moved */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, struct record);
} unfinished SEC(".maps"); /* processes of several threads, until all have been seen */

const volatile u32 exact_cpus; /* add up the per-CPU parts of RSS of so many CPUs; 0: the kernel's estimate */

/* Where each CPU's copy of this lies says where each CPU's copy of anything lies; its content is of no use. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} marker SEC(".maps");

struct record scratch, fresh; /* one reader at a time: the collector */
s32 parts[4];
volatile u64 copies[EXACT_CPUS], original, map; /* of marker; none before 5.19, where nothing needs them */
u64 lost; /* processes without a record because the map was full */
u32 with_sockets; /* count them in this pass */
u32 pending; /* processes of which some threads have been seen and not all */

static __always_inline void add_io(struct io *sum, const struct task_io_accounting *io)
{
	sum->read_chars += io->rchar;
	sum->write_chars += io->wchar;
	sum->read_syscalls += io->syscr;
	sum->write_syscalls += io->syscw;
	sum->read_bytes += io->read_bytes;
	sum->write_bytes += io->write_bytes;
	sum->cancelled_write_bytes += io->cancelled_write_bytes;
}

static __always_inline void add_thread(struct record *r, struct task_struct___process *task)
{
	struct task_delay_info *delays = task->delays;

	r->seen++;
	r->utime += task->utime;
	r->stime += task->stime;
	r->runtime += task->se.sum_exec_runtime;
	r->minor_faults += task->min_flt;
	r->major_faults += task->maj_flt;
	r->voluntary_switches += task->nvcsw;
	r->involuntary_switches += task->nivcsw;
	r->cpu_delay_ns += task->sched_info.run_delay;
	add_io(&r->io, &task->ioac);
	if (!delays)
		return;
	r->delays_known = 1;
	r->blkio_delay_ns += delays->blkio_delay;
	r->swapin_delay_ns += delays->swapin_delay;
	r->reclaim_delay_ns += delays->freepages_delay;
	r->thrashing_delay_ns += delays->thrashing_delay;
}

/* What threads that have ended left behind; the I/O of children that were waited for is with theirs. */
static __always_inline void add_ended(struct record *r, struct signal_struct *signal)
{
	struct taskstats *stats = signal->stats;

	r->utime += signal->utime;
	r->stime += signal->stime;
	r->runtime += signal->sum_sched_runtime;
	r->minor_faults += signal->min_flt;
	r->major_faults += signal->maj_flt;
	r->voluntary_switches += signal->nvcsw;
	r->involuntary_switches += signal->nivcsw;
	add_io(&r->ended_io, &signal->ioac);
	r->ended_runtime = signal->sum_sched_runtime;
	r->children_switches = signal->cnvcsw + signal->cnivcsw;
	if (!stats)
		return;
	r->cpu_delay_ns += stats->cpu_delay_total;
	r->blkio_delay_ns += stats->blkio_delay_total;
	r->swapin_delay_ns += stats->swapin_delay_total;
	r->reclaim_delay_ns += stats->freepages_delay_total;
	r->thrashing_delay_ns += stats->thrashing_delay_total;
}

static __always_inline void find_copies(void)
{
	u32 zero = 0;

	if (original || !bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_map_lookup_percpu_elem))
		return;
	map = (u64)&marker;
	bpf_probe_read_kernel((void *)&original, sizeof(original), &((struct bpf_array *)map)->pptrs[0]);
	for (u32 cpu = 0; cpu < EXACT_CPUS && cpu < exact_cpus; cpu++)
		copies[cpu] = (u64)bpf_map_lookup_percpu_elem(&marker, &zero, cpu);
}

/* Since 6.2 a counter is a sum and, per CPU, what has not been added to it yet (up to 2 * CPUs pages each). */
static __always_inline void add_cpu_parts(struct record *r, struct mm_struct *mm)
{
	u64 counters = (u64)mm->rss_stat[0].counters;

	if ((u64)mm->rss_stat[3].counters != counters + 3 * sizeof(s32))
		return; /* allocated one by one (before 6.6) */
	for (u32 cpu = 0; cpu < EXACT_CPUS && cpu < exact_cpus; cpu++) {
		if (!copies[cpu])
			continue;
		if (bpf_probe_read_kernel(parts, sizeof(parts), (void *)(counters + copies[cpu] - original)))
			return;
		for (int i = 0; i < 4; i++)
			r->pages[i] += parts[i];
	}
}

static __always_inline void read_memory(struct record *r, struct mm_struct *mm)
{
	struct mm_struct___5_15 *old = (void *)mm;

	r->vsize_pages = mm->total_vm;
	if (bpf_core_type_exists(struct mm_rss_stat)) {
		/* not member by member: the verifier of 6.1 takes no step into an array of a typedef */
		bpf_core_read(r->pages, sizeof(r->pages), &old->rss_stat.count);
		return;
	}
	r->pages[0] = mm->rss_stat[0].count;
	r->pages[1] = mm->rss_stat[1].count;
	r->pages[2] = mm->rss_stat[2].count;
	r->pages[3] = mm->rss_stat[3].count;
	add_cpu_parts(r, mm);
}

static __always_inline void describe(struct record *r, struct task_struct___process *task, struct signal_struct *signal)
{
	struct mm_struct *mm = task->mm;
	struct files_struct *files = task->files;

	r->start_boottime = task->start_boottime;
	r->pid = task->tgid;
	r->ppid = task->real_parent->tgid;
	r->uid = task->real_cred->euid.val;
	r->state = task->__state;
	r->frozen = r->state & TASK_FROZEN || BPF_CORE_READ_BITFIELD_PROBED(task, frozen);
	r->exit_state = task->exit_state;
	r->flags = task->flags;
	r->nice = task->static_prio - 120;
	r->threads = signal->nr_threads;
	BPF_CORE_READ_STR_INTO(&r->comm, task, comm);
	r->fd_limit = signal->rlim[NOFILE].rlim_cur;
	r->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	r->fds = files ? count_descriptors(files) : UNKNOWN;
	r->sockets = files && with_sockets ? count_sockets(files) : UNKNOWN;
	add_ended(r, signal);
	if (mm && !(r->flags & PF_KTHREAD))
		read_memory(r, mm);
}

SEC("iter/task")
int tasks(struct bpf_iter__task *ctx)
{
	struct task_struct___process *task = ctx->task;
	struct record *r = &scratch;
	struct signal_struct *signal;
	u32 pid, several;

	if (!task)
		return 0;
	find_copies();
	signal = task->signal;
	pid = task->tgid;
	several = signal->nr_threads > 1;
	if (several) {
		r = bpf_map_lookup_elem(&unfinished, &pid);
		if (!r) {
			bpf_map_update_elem(&unfinished, &pid, &fresh, BPF_ANY);
			pending++;
			r = bpf_map_lookup_elem(&unfinished, &pid);
		}
		if (!r) {
			lost++;
			return 0;
		}
	} else {
		__builtin_memcpy(r, &fresh, sizeof(*r));
	}
	if (!r->complete) {
		add_thread(r, task);
		if (task->pid == task->tgid)
			describe(r, task, signal);
		r->complete = r->seen >= signal->nr_threads;
	}
	if (!r->complete)
		return 0;
	if (bpf_seq_write(ctx->meta->seq, r, sizeof(*r)))
		return 1; /* the buffer is full: the kernel empties it and comes back with this task */
	if (several) {
		bpf_map_delete_elem(&unfinished, &pid);
		pending--;
	}
	return 0;
}
