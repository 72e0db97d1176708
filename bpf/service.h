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
};

/* One socket. A request began at `began` (0: none is under way): it arrived here, or was sent from here. */
struct connection {
	u64 began, read_at;
	u64 ahead; /* a server's: what arrived after the last reading. A client's: what arrived unasked, unread */
	u64 last;  /* the last reading or sending */
	u64 pair;  /* what it has in common with the socket at the other end; 0: nothing */
	u64 cgroup_id, bytes_in, bytes_out;
	u32 requests, answers, edge_requests, edge_answers; /* not added to the sums yet */
	u32 pid; /* of the process that read (server) or sent (client) last */
	char comm[COMM_LEN];
	struct service_key at;
	u8 role, score, turns, outputs, peer, untimed, connecting, has_answered;
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
	__type(key, struct service_key);
	__type(value, struct service_sums);
} services SEC(".maps");

struct edge_key {
	struct service_key at;
	u8 client_address[16]; /* where pid is 0 */
	u32 pid, padding;
};

struct edge_sums {
	u64 requests, answers, abandoned, connects, refused, resets, bytes_in, bytes_out;
	u64 latency_count, latency_ns, max_ns;
	u64 oldest_ns, cgroup_id;
	u32 in_flight, connections, streams, connecting;
	u32 server_pid, is_local;
	char comm[COMM_LEN], server_comm[COMM_LEN];
	u32 latency[BUCKETS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct edge_key);
	__type(value, struct edge_sums);
} edges SEC(".maps");

const struct service_sums no_service;
const struct edge_sums no_edge;
u64 services_lost, edges_lost, listeners_lost; /* what found its map full */

static __always_inline struct service_sums *sums_of(struct service_key *at)
{
	struct service_sums *sums = bpf_map_lookup_elem(&services, at);

	if (sums)
		return sums;
	bpf_map_update_elem(&services, at, &no_service, BPF_NOEXIST);
	sums = bpf_map_lookup_elem(&services, at);
	if (!sums)
		add(services_lost, 1);
	return sums;
}

static __always_inline struct edge_sums *edge_of(struct edge_key *key)
{
	struct edge_sums *sums = bpf_map_lookup_elem(&edges, key);

	if (sums)
		return sums;
	bpf_map_update_elem(&edges, key, &no_edge, BPF_NOEXIST);
	sums = bpf_map_lookup_elem(&edges, key);
	if (!sums)
		add(edges_lost, 1);
	return sums;
}

static __always_inline void count_in(u32 *histogram, u64 ns)
{
	u32 bucket = bucket_of(ns, UNIT, STEPS, BUCKETS);

	if (bucket < BUCKETS)
		add(histogram[bucket], 1);
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
	c->cgroup_id = cgroup_of(task);
	__builtin_memcpy(c->comm, task->group_leader->comm, COMM_LEN);
	return true;
}

#endif
