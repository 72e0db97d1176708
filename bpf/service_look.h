/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is under way on each socket, once a second. */
#ifndef KERNELSIGHT_SERVICE_LOOK_H
#define KERNELSIGHT_SERVICE_LOOK_H

#include "service_flush.h"

#define NOBODY_WAITS_NS 60000000000ULL /* for a datagram */
#define SHUTDOWN_MASK 3

struct sk_buff_head { u32 qlen; } VIEW;
struct sock___queue { struct sk_buff_head sk_receive_queue; } VIEW;

static __always_inline void describe(struct sock *sk, struct connection *c)
{
	struct socket_alloc *owner = (struct socket_alloc *)BPF_CORE_READ(sk, sk_socket);
	struct listening *found, fresh = {};
	struct service_key at = c->at;

	found = bpf_map_lookup_elem(&listeners, &at);
	if (!found) {
		fresh.pid = c->pid;
		fresh.cgroup_id = c->cgroup_id;
		__builtin_memcpy(fresh.comm, c->comm, COMM_LEN);
		fresh.inode = owner ? BPF_CORE_READ(owner, vfs_inode.i_ino) : 0;
		bpf_map_update_elem(&listeners, &at, &fresh, BPF_NOEXIST);
		found = bpf_map_lookup_elem(&listeners, &at);
		if (!found) {
			add(listeners_lost, 1);
			return;
		}
	}
	found->sockets++;
	found->drops += drops_of(sk);
	if (at.protocol == UDP)
		return;
	found->backlog += BPF_CORE_READ(sk, sk_max_ack_backlog);
	if (at.protocol == UNIX)
		found->accept_queue += BPF_CORE_READ((struct sock___queue *)sk, sk_receive_queue.qlen);
	else
		found->accept_queue += BPF_CORE_READ(sk, sk_ack_backlog);
}

static __always_inline bool has_ended(struct sock *sk, struct connection *c)
{
	if (c->at.protocol == TCP)
		return BPF_CORE_READ(sk, __sk_common.skc_state) == CLOSE;
	return c->at.protocol == UNIX && BPF_CORE_READ(sk, sk_shutdown) == SHUTDOWN_MASK;
}

/* Whether somebody waits for an answer. */
static __always_inline bool is_pending(struct connection *c, u64 age)
{
	if (!c->began || is_stream(c))
		return false;
	if (c->at.protocol != UDP)
		return true;
	if (c->role == SERVER && !c->read_at)
		return true;
	return age < NOBODY_WAITS_NS && (c->role == CLIENT || c->has_answered);
}

/* As seen from a server: whether its client is on this machine, too. */
static __always_inline bool is_elsewhere(struct connection *c)
{
	struct pair *pair;

	if (c->peer == PEER_UNKNOWN && c->at.protocol == TCP) {
		pair = pair_at(c);
		c->peer = pair && pair->has_client ? PEER_HERE : PEER_ELSEWHERE;
	}
	return c->peer == PEER_ELSEWHERE;
}

/* What a client elsewhere asked for; only the server's side of it is here. */
static __always_inline struct edge_sums *tell_from_elsewhere(struct sock *sk, struct connection *c)
{
	struct edge_sums *edge;
	u64 address[2] = {};
	u64 key;

	address_of((u8 *)address, sk, c->at.family, true);
	key = mix(mix(c->service, address[0]), address[1]);
	edge = bpf_map_lookup_elem(&edges, &key);
	if (!edge)
		edge = new_edge(key, c, 0);
	if (!edge)
		return NULL;
	__builtin_memcpy(edge->client_address, address, sizeof(address));
	add(edge->requests, TAKE(c->edge_requests));
	add(edge->answers, TAKE(c->edge_answers));
	edge->is_local = 1;
	if (!edge->server_pid) {
		edge->server_pid = c->pid;
		__builtin_memcpy(edge->server_comm, c->comm, COMM_LEN);
	}
	return edge;
}

static __always_inline void look_from_elsewhere(struct sock *sk, struct connection *c, bool pending, u64 age)
{
	struct edge_sums *edge;

	if (!c->edge_requests && !c->edge_answers && !pending)
		return;
	edge = tell_from_elsewhere(sk, c);
	if (!edge)
		return;
	edge->connections++;
	edge->in_flight += pending;
	if (!pending || age < edge->oldest_ns)
		return;
	edge->oldest_ns = age;
	edge->server_pid = c->pid;
	__builtin_memcpy(edge->server_comm, c->comm, COMM_LEN);
}

static __always_inline void look_at_server(struct sock *sk, struct connection *c)
{
	u64 age = c->began ? age_of(c->began, bpf_ktime_get_ns()) : 0;
	struct service_sums *sums;
	struct pair *pair;
	bool pending;

	if (has_ended(sk, c))
		return;
	if (c->at.protocol == UDP)
		describe(sk, c);
	sums = sums_of(c);
	if (!sums)
		return;
	flush_server(c, sums);
	c->recent = 0;
	if (c->began && !c->read_at && age > PATIENCE_NS && is_read_unseen(sk, c))
		c->score = 2 * STREAM; /* its answers may go past us, too */
	pending = is_pending(c, age);
	sums->connections++;
	sums->streams += is_stream(c);
	if (is_elsewhere(c))
		look_from_elsewhere(sk, c, pending, age);
	if (!pending)
		return;
	sums->in_flight++;
	sums->unread += !c->read_at;
	if (age < sums->oldest_ns)
		return;
	sums->oldest_ns = age;
	sums->oldest_is_read = !!c->read_at;
	sums->oldest_pid = c->pid;
	pair = pair_at(c);
	sums->oldest_client_pid = pair ? pair->client : 0;
	__builtin_memcpy(sums->oldest_comm, c->comm, COMM_LEN);
}

static __always_inline void look_at_client(struct sock *sk, struct connection *c)
{
	u64 age = c->began ? age_of(c->began, bpf_ktime_get_ns()) : 0;
	struct edge_sums *edge;
	bool pending, is_oldest;

	if (has_ended(sk, c))
		return;
	edge = edge_of(c);
	if (!edge)
		return;
	flush_client(c, edge);
	c->recent = 0;
	pending = is_pending(c, age);
	edge->connections += !c->connecting;
	edge->connecting += c->connecting;
	edge->streams += is_stream(c);
	edge->in_flight += pending && !c->connecting;
	is_oldest = pending && age >= edge->oldest_ns;
	if (is_oldest)
		edge->oldest_ns = age;
	if (is_oldest || !edge->server_pid)
		name_server(c, edge);
}

#endif
