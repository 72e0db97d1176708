/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of services: for each connection the request under way, and for each service and each
 * client of one what happened within the second. All sums are drained by the reader once a second.
 */
#ifndef KERNELSIGHT_SERVICE_H
#define KERNELSIGHT_SERVICE_H

#include "histogram.h"
#include "sock.h"

enum { BPF_MAP_TYPE_SK_STORAGE = 24 }; /* as in uapi.h */

#define UNIT 8
#define STEPS 4
#define BUCKETS 464 /* of 1/16 octave, from 256 ns to 18 minutes */
#define NAME_LEN 108
#define STREAM 8     /* of `score` */
#define MOST_TURNS 8 /* separate inputs (of a client of TCP, outputs: SENDS) of one request; more are a stream */
#define MOST_SENDS 32
#define TIME_ALL 256 /* requests of a connection in a second that are timed each; of more, one in THINNED */
#define THINNED 8
#define PAUSE_NS 500000000ULL /* within a request, or before an output that answers none: a stream's */

enum role { STRANGER, LISTENER, SERVER, CLIENT };
enum protocol { TCP, UDP, UNIX };
enum peer { PEER_UNKNOWN, PEER_HERE, PEER_ELSEWHERE };

/* Where a service listens. */
struct service_key {
	u8 address[16]; /* of a Unix socket: a hash of its name */
	u32 netns;
	u16 port;
	u8 protocol, family;
} __attribute__((aligned(8)));

/* One socket. A request began at `began` (0: none is under way): it arrived here, or was sent from here. */
struct connection {
	u64 began, read_at;
	u64 ahead; /* a server's: what arrived after the last reading. A client's: what arrived unasked, unread */
	u64 last;  /* the last reading or sending, by the coarse clock */
	u64 pair;  /* what it has in common with the socket at the other end; 0: nothing */
	u64 service, edge; /* keys of the sums */
	u64 cgroup_id;
	u64 bytes_in, bytes_out, latency_ns, service_ns; /* not added to the sums yet, as are */
	u32 requests, answers, timed, edge_requests, edge_answers;
	u32 number, recent; /* requests so far, and those that were timed since the last look */
	u32 pid; /* of the process that read (server) or sent (client) last */
	char comm[COMM_LEN];
	struct service_key at;
	u8 role, score, turns, outputs, peer, connecting, has_answered;
	u8 weight; /* of the request in the histograms; 0: it is not timed */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connection);
} connections SEC(".maps");

/* Where somebody listens, by number of sockets. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct service_key);
	__type(value, u32);
} places SEC(".maps");

struct unix_name {
	char name[NAME_LEN];
	u32 length;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, struct unix_name);
} unix_names SEC(".maps");

/* The two ends of one connection on this machine. */
struct pair {
	u32 client, server; /* processes; 0: not known yet */
	u32 has_client, has_server;
	char server_comm[COMM_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct pair);
} pairs SEC(".maps");

struct listening {
	u32 sockets, accept_queue, backlog, drops, pid;
	u32 padding;
	u64 inode, cgroup_id;
	char comm[COMM_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, struct service_key);
	__type(value, struct listening);
} listeners SEC(".maps"); /* filled by each look */

struct service_sums {
	struct service_key at;
	u64 requests, answers, abandoned, accepted, resets_sent, resets_received, bytes_in, bytes_out;
	u64 latency_count, latency_ns, service_ns, max_ns;
	u64 oldest_ns, cgroup_id;
	u32 in_flight, unread, connections, streams;
	u32 pid, oldest_pid, oldest_client_pid, oldest_is_read;
	char comm[COMM_LEN], oldest_comm[COMM_LEN];
	u32 latency[BUCKETS], queue[BUCKETS], service[BUCKETS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, u64);
	__type(value, struct service_sums);
} services SEC(".maps");

struct edge_sums {
	struct service_key at;
	u8 client_address[16]; /* where pid is 0 */
	u64 requests, answers, abandoned, connects, refused, resets, bytes_in, bytes_out;
	u64 latency_count, latency_ns, max_ns;
	u64 oldest_ns, cgroup_id;
	u32 in_flight, connections, streams, connecting;
	u32 pid, server_pid, is_local, padding;
	char comm[COMM_LEN], server_comm[COMM_LEN];
	u32 latency[BUCKETS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, struct edge_sums);
} edges SEC(".maps");

const struct service_sums no_service;
const struct edge_sums no_edge;
const volatile u64 tick_ns = 4000000;
u64 coarse_base; /* the clock when the ticks were none */
u64 services_lost, edges_lost, listeners_lost; /* what found its map full */

static __always_inline u64 mix(u64 hash, u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ (hash >> 29);
}

static __always_inline u64 key_of(struct service_key *at)
{
	u64 *words = (u64 *)at;

	return mix(mix(mix(1, words[0]), words[1]), words[2]);
}

static __noinline struct service_sums *new_service(u64 key, struct connection *c)
{
	struct service_sums *sums;

	bpf_map_update_elem(&services, &key, &no_service, BPF_NOEXIST);
	sums = bpf_map_lookup_elem(&services, &key);
	if (!sums)
		add(services_lost, 1);
	else
		sums->at = c->at;
	return sums;
}

static __always_inline struct service_sums *sums_of(struct connection *c)
{
	u64 key = c->service;
	struct service_sums *sums = bpf_map_lookup_elem(&services, &key);

	return sums ?: new_service(key, c);
}

static __noinline struct edge_sums *new_edge(u64 key, struct connection *c, u32 pid)
{
	struct edge_sums *edge;

	bpf_map_update_elem(&edges, &key, &no_edge, BPF_NOEXIST);
	edge = bpf_map_lookup_elem(&edges, &key);
	if (!edge) {
		add(edges_lost, 1);
		return NULL;
	}
	edge->at = c->at;
	edge->pid = pid;
	return edge;
}

/* That of a client here. */
static __always_inline struct edge_sums *edge_of(struct connection *c)
{
	u64 key = c->edge;
	struct edge_sums *edge;

	if (!c->pid)
		return NULL;
	edge = bpf_map_lookup_elem(&edges, &key);
	return edge ?: new_edge(key, c, c->pid);
}

static __always_inline void count_in(u32 *histogram, u64 ns, u8 weight)
{
	u32 bucket = bucket_of(ns, UNIT, STEPS, BUCKETS);

	if (bucket < BUCKETS)
		add(histogram[bucket], weight);
}

/* The exact clock costs as much as all else; this one, which goes by ticks, is good for ages. */
static __always_inline u64 coarse_ns(void)
{
	return coarse_base + bpf_jiffies64() * tick_ns;
}

static __always_inline u64 clock_of(struct connection *c)
{
	return c->weight ? bpf_ktime_get_ns() : coarse_ns();
}

/* Of each eight one, another one each time, so that no pattern of the client's is met with. */
static __always_inline u8 weight_of_next(struct connection *c)
{
	u32 number = c->number++;

	if (c->recent < TIME_ALL)
		return 1;
	return (number & (THINNED - 1)) == ((number / THINNED * 0x9e3779b1U) >> 29) ? THINNED : 0;
}

/* The clocks of two CPUs may differ a little. */
static __always_inline u64 age_of(u64 then, u64 now)
{
	return now > then ? now - then : 0;
}

static __always_inline bool is_stream(struct connection *c)
{
	if (c->score >= STREAM)
		return true;
	return c->turns >= (c->role == CLIENT && c->at.protocol != UDP ? MOST_SENDS : MOST_TURNS);
}

static __always_inline void more_like_stream(struct connection *c, u8 by)
{
	c->score = c->score + by < 2 * STREAM ? c->score + by : 2 * STREAM;
}

/* The process that reads or sends. */
static __always_inline bool note_process(struct connection *c)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct task_struct *task;

	if (c->pid == pid)
		return false;
	task = bpf_get_current_task_btf();
	c->pid = pid;
	c->edge = mix(c->service, pid);
	c->cgroup_id = cgroup_of(task);
	__builtin_memcpy(c->comm, task->group_leader->comm, COMM_LEN);
	return true;
}

#endif
