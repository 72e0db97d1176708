/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP sockets by state, who listens, and which connections do not get on (read by collectors/bpf/tcp.py).
 *
 * Reads the kernel's tables of sockets itself. Their size follows the machine's memory, not the number
 * of sockets, so most of the cost of iter/tcp, of sock_diag and of /proc/net/tcp is looking at empty
 * chains one by one; here 256 of them are copied at once. Kernels from 6.1 on: earlier ones lack the
 * pointer from the network namespace to the tables (e9bd0cca09d1) or keep listeners in another (cae3873c5b3a).
 */
#include "troubled.h"

#define HEADS 256
#define GROUP 8
#define COMMON 160
#define LONGEST_CHAIN 65536
#define MAX_LISTENERS 1024
#define RUN 128 /* times HEADS chains that one run looks at, so that none takes long */

struct hlist_nulls_head { struct hlist_nulls_node *first; } VIEW;
struct inet_ehash_bucket { struct hlist_nulls_head chain; } VIEW;
struct inet_listen_hashbucket { struct hlist_nulls_head nulls_head; } VIEW;
struct inet_hashinfo {
	struct inet_ehash_bucket *ehash;
	unsigned int ehash_mask;
	unsigned int lhash2_mask;
	struct inet_listen_hashbucket *lhash2;
} VIEW;
struct inet_timewait_death_row { struct inet_hashinfo *hashinfo; } VIEW;
struct netns_ipv4 { struct inet_timewait_death_row tcp_death_row; } VIEW;
struct net { struct netns_ipv4 ipv4; } VIEW;
struct nsproxy { struct net *net_ns; } VIEW;
struct task_struct___net { struct nsproxy *nsproxy; } VIEW;
struct inet_timewait_sock { volatile unsigned char tw_substate; } VIEW;

struct listener {
	struct place at;
	u32 accept_queue, backlog;
};

/* One reader at a time: the collector, which runs the program until nothing is left. */
u64 next_chain, left;
u32 states[STATES];
u32 found; /* listeners; those past the array's end are counted only */
struct listener listeners[MAX_LISTENERS];
u64 heads[HEADS]; /* a part of a table */
u16 busy[HEADS];  /* which of these chains are not empty */
volatile u32 busy_chains; /* so many; kept here, because the verifier would try every number */
u64 common[COMMON / sizeof(u64)]; /* what all sockets begin with, copied at once */

struct walk {
	struct net *net;
	u64 table, chains; /* where it lies, and what is left of it */
	u64 node;	   /* of the chain that it is at */
};

static __always_inline void describe(struct sock *sk)
{
	u32 index = found++;
	struct listener *l;

	if (index >= MAX_LISTENERS)
		return;
	l = &listeners[index];
	find_place(&l->at, sk);
	l->accept_queue = BPF_CORE_READ(sk, sk_ack_backlog);
	l->backlog = BPF_CORE_READ(sk, sk_max_ack_backlog);
}

#define COMMON_FIELD(type, name) (*(type *)((u8 *)common + bpf_core_field_offset(struct sock_common, name)))

static long one_socket(u32 index, struct walk *walk)
{
	struct sock *sk = (struct sock *)(walk->node - bpf_core_field_offset(struct sock_common, skc_nulls_node));
	u32 state;

	if (walk->node & 1) /* the end of a chain is odd; it may be another's, when a socket moves meanwhile */
		return 1;
	if (bpf_probe_read_kernel(common, sizeof(common), sk))
		return 1;
	walk->node = COMMON_FIELD(u64, skc_nulls_node.next);
	state = COMMON_FIELD(u8, skc_state);
	note_if_troubled(sk, state); /* the tables are shared by the network namespaces */
	if (COMMON_FIELD(struct net *, skc_net.net) != walk->net)
		return 0;
	if (state == TIME_WAIT)
		state = BPF_CORE_READ((struct inet_timewait_sock *)sk, tw_substate);
	states[state & (STATES - 1)]++;
	if (state == LISTEN)
		describe(sk);
	return 0;
}

static long one_chain(u32 index, struct walk *walk)
{
	walk->node = heads[busy[index & (HEADS - 1)] & (HEADS - 1)];
	bpf_loop(LONGEST_CHAIN, one_socket, walk, 0);
	return 0;
}

/* Copies a part of a table, as many chains of so many words as fit; how many words that are. */
static __always_inline u64 copy_heads(struct walk *walk, u32 part, u32 words)
{
	u32 most = HEADS / words;
	u64 first = (u64)part * most;
	u64 chains = walk->chains - first < most ? walk->chains - first : most;
	u64 size = chains * words * sizeof(u64);

	busy_chains = 0;
	if (size > sizeof(heads))
		return 0;
	if (bpf_probe_read_kernel(heads, size, (void *)(walk->table + first * words * sizeof(u64))))
		return 0;
	return size / sizeof(u64);
}

static __always_inline void note_busy(u32 chain)
{
	if (!(heads[chain] & 1))
		busy[busy_chains++ & (HEADS - 1)] = chain;
}

static long connections(u32 part, struct walk *walk)
{
	u64 words = copy_heads(walk, part, 1);

	for (u32 i = 0; i < HEADS && i < words; i += GROUP) {
		if (heads[i] & heads[i + 1] & heads[i + 2] & heads[i + 3] & heads[i + 4] & heads[i + 5] &
		    heads[i + 6] & heads[i + 7] & 1)
			continue;
		for (u32 chain = i; chain < i + GROUP; chain++)
			note_busy(chain);
	}
	bpf_loop(busy_chains, one_chain, walk, 0);
	return 0;
}

/* Each head has a lock before it, whose size depends on how the kernel was built (40 bytes in all with PREEMPT_RT). */
static long listening(u32 part, struct walk *walk)
{
	u32 step = bpf_core_type_size(struct inet_listen_hashbucket) / sizeof(u64);
	u32 at = bpf_core_field_offset(struct inet_listen_hashbucket, nulls_head) / sizeof(u64);
	u64 words = copy_heads(walk, part, step);

	for (u32 i = at; i < HEADS && i < words; i += step)
		note_busy(i);
	bpf_loop(busy_chains, one_chain, walk, 0);
	return 0;
}

SEC("raw_tp")
int count_tcp(void *ctx)
{
	struct task_struct___net *task = (void *)bpf_get_current_task();
	struct net *net = BPF_CORE_READ(task, nsproxy, net_ns);
	struct walk walk = {.net = net};
	struct inet_hashinfo *tables = BPF_CORE_READ(net, ipv4.tcp_death_row.hashinfo);
	u64 all = BPF_CORE_READ(tables, ehash_mask) + 1ULL;
	u32 step = bpf_core_type_size(struct inet_listen_hashbucket) / sizeof(u64);

	if (!next_chain) {
		__builtin_memset(states, 0, sizeof(states));
		found = troubled = lost_connections = 0;
		walk.table = (u64)BPF_CORE_READ(tables, lhash2);
		walk.chains = BPF_CORE_READ(tables, lhash2_mask) + 1ULL;
		bpf_loop(walk.chains / (HEADS / step) + 1, listening, &walk, 0);
	}
	walk.table = (u64)BPF_CORE_READ(tables, ehash) + next_chain * sizeof(u64);
	walk.chains = all - next_chain;
	bpf_loop(walk.chains < RUN * HEADS ? (walk.chains + HEADS - 1) / HEADS : RUN, connections, &walk, 0);
	next_chain += RUN * HEADS;
	left = next_chain < all ? all - next_chain : 0;
	if (!left)
		next_chain = 0;
	return 0;
}
