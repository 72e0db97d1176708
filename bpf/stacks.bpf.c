/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the CPUs compute: at each tick of a timer on every CPU, the stack of the thread that runs, counted
 * by process and stack.
 *
 * Stacks are kept by a hash of their own and not in a BPF_MAP_TYPE_STACK_TRACE, in which two stacks of one
 * bucket are one too many: docs/decisions/stacks.md.
 */
#include "common.h"

#define MAX_FRAMES 127 /* sysctl kernel.perf_event_max_stack, as it comes */
#define NAMED_AT_ONCE 64
#define LONGEST_NAME 96
#define YOUNG_NS 3000000000
#define ONE_IN 16

enum { BUILD_ID_LEN = 20 };
enum { BPF_F_USER_STACK = 1U << 8, BPF_F_USER_BUILD_ID = 1U << 11 };

u64 samples_lost; /* a map was full */

struct sampled {
	u64 user, kernel; /* hashes of the stacks; 0: none */
	u32 pid, padding;
};

struct samples {
	u64 samples, cgroup_id;
	char comm[COMM_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct sampled);
	__type(value, struct samples);
} counts SEC(".maps");

/* struct bpf_stack_build_id of the kernel: where in which file a frame is, or its address if that is not known. */
struct place {
	s32 status; /* 1: the file is known */
	u8 build_id[BUILD_ID_LEN];
	u64 offset;
};

/* Addresses, innermost first; of a program also their places in files. */
struct user_stack {
	u32 frames, places;
	u64 address[MAX_FRAMES];
	struct place place[MAX_FRAMES];
};

struct kernel_stack {
	u64 frames;
	u64 address[MAX_FRAMES];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, u64);
	__type(value, struct user_stack);
} user_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, u64);
	__type(value, struct kernel_stack);
} kernel_stacks SEC(".maps");

struct scratch {
	struct user_stack user;
	struct kernel_stack kernel;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Processes that have been sampled: who is not among them is told at once, while its mappings can be read. */
struct process {
	u64 life, since;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, u32);
	__type(value, struct process);
} known SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} newcomers SEC(".maps");

struct task_struct___executed {
	u64 self_exec_id;
} VIEW;

static __always_inline u64 hash_of(const u64 *address, u32 frames)
{
	u64 hash = 14695981039346656037ULL;
	u32 i;

#pragma clang loop unroll(disable)
	for (i = 0; i < MAX_FRAMES; i++) {
		if (i >= frames)
			break;
		hash = (hash ^ address[i]) * 1099511628211ULL;
		hash ^= hash >> 32;
	}
	return hash ? hash : 1;
}

static __always_inline u64 user_stack_of(void *ctx, struct user_stack *stack, bool in_files)
{
	long size = bpf_get_stack(ctx, stack->address, sizeof(stack->address), BPF_F_USER_STACK);
	u64 hash;

	if (size <= 0)
		return 0;
	stack->frames = (u64)size >> 3;
	hash = hash_of(stack->address, stack->frames);
	if (bpf_map_lookup_elem(&user_stacks, &hash))
		return hash;
	size = 0;
	if (in_files)
		size = bpf_get_stack(ctx, stack->place, sizeof(stack->place), BPF_F_USER_STACK | BPF_F_USER_BUILD_ID);
	stack->places = size > 0 ? (u64)size / sizeof(struct place) : 0;
	if (bpf_map_update_elem(&user_stacks, &hash, stack, BPF_ANY))
		add(samples_lost, 1);
	return hash;
}

static __always_inline u64 kernel_stack_of(void *ctx, struct kernel_stack *stack)
{
	long size = bpf_get_stack(ctx, stack->address, sizeof(stack->address), 0);
	u64 hash;

	if (size <= 0)
		return 0;
	stack->frames = (u64)size >> 3;
	hash = hash_of(stack->address, stack->frames);
	if (!bpf_map_lookup_elem(&kernel_stacks, &hash) &&
	    bpf_map_update_elem(&kernel_stacks, &hash, stack, BPF_ANY))
		add(samples_lost, 1);
	return hash;
}

/*
 * Announces a process whose mappings are not known: it is new, or executes another program now. Returns whether
 * the places in files are to be looked up here: of young processes, which may be gone soon, and of some samples
 * of the others, by which the reader learns the build ids of files. That takes most of the time of a sample.
 */
static __always_inline bool announce(struct task_struct *leader)
{
	struct task_struct___executed *executed = (void *)leader;
	struct process process = {.life = leader->start_time + executed->self_exec_id, .since = bpf_ktime_get_ns()};
	u32 pid = leader->pid;
	struct process *before = bpf_map_lookup_elem(&known, &pid);

	if (before && before->life == process.life)
		return process.since - before->since < YOUNG_NS || !(bpf_get_prandom_u32() % ONE_IN);
	bpf_map_update_elem(&known, &pid, &process, BPF_ANY);
	bpf_ringbuf_output(&newcomers, &pid, sizeof(pid), 0);
	return true;
}

SEC("perf_event")
int on_sample(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct samples *samples, first = {.samples = 1};
	struct sampled key = {};
	struct scratch *scratch;
	u32 zero = 0;

	if (!task->pid) /* idle */
		return 0;
	scratch = bpf_map_lookup_elem(&scratches, &zero);
	if (!scratch)
		return 0;
	key.pid = task->tgid;
	key.kernel = kernel_stack_of(ctx, &scratch->kernel);
	if (!(task->flags & PF_KTHREAD))
		key.user = user_stack_of(ctx, &scratch->user, announce(task->group_leader));
	samples = bpf_map_lookup_elem(&counts, &key);
	if (samples) {
		add(samples->samples, 1);
		return 0;
	}
	first.cgroup_id = cgroup_of(task);
	__builtin_memcpy(first.comm, task->group_leader->comm, COMM_LEN);
	if (bpf_map_update_elem(&counts, &key, &first, BPF_NOEXIST))
		add(samples_lost, 1);
	return 0;
}

/* The kernel's names of its own addresses: no list of all symbols is read, and where it was loaded does not matter. */
u64 asked[NAMED_AT_ONCE];
char told[NAMED_AT_ONCE][LONGEST_NAME];
u32 ask_for;

SEC("raw_tp")
int name_addresses(void *ctx)
{
	u32 i;

#pragma clang loop unroll(disable)
	for (i = 0; i < NAMED_AT_ONCE; i++) {
		u64 address = asked[i];

		if (i >= ask_for)
			break;
		bpf_snprintf(told[i], LONGEST_NAME, "%pS", &address, sizeof(address));
	}
	return 0;
}
