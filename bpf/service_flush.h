/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a connection to the sums of its service and of its client. */
#ifndef KERNELSIGHT_SERVICE_FLUSH_H
#define KERNELSIGHT_SERVICE_FLUSH_H

#include "service_sight.h"

#define LONG_NS 20000000ULL /* what is not timed exactly is still the longest of a second, if it is that long */
#define PATIENCE_NS 100000000ULL /* a last message, such as a farewell, is not answered; who waits waits longer */

/* A request arrives, or is sent; `when`: 0 for now. */
static __always_inline void begin(struct connection *c, u64 when)
{
	c->weight = weight_of_next(c);
	c->began = when ?: clock_of(c);
	c->read_at = c->ahead = 0;
	c->turns = 0;
	c->requests++;
}

/* More input (of a client, output) before there was an answer. */
static __always_inline void take_turn(struct connection *c)
{
	u64 now = coarse_ns();

	if (c->turns < 255)
		c->turns++;
	if (c->at.protocol != UDP && c->last && age_of(c->last, now) > PAUSE_NS)
		more_like_stream(c, 2);
	if (c->turns == (c->role == CLIENT ? MOST_SENDS : MOST_TURNS))
		more_like_stream(c, 4);
}

static __always_inline void tell_pair(struct connection *c)
{
	struct pair *pair = pair_at(c);

	if (!pair)
		return;
	if (c->role == CLIENT) {
		pair->client = c->pid;
		pair->has_client = 1;
	} else {
		pair->server = c->pid;
		pair->has_server = 1;
		__builtin_memcpy(pair->server_comm, c->comm, COMM_LEN);
	}
}

/* What a connection counted, which begins anew at once: the hooks may count meanwhile, on another CPU. */
#define TAKE(counted) take(&(counted), sizeof(counted))

static __always_inline u64 take(void *counted, u32 size)
{
	volatile u64 *wide = counted;
	volatile u32 *narrow = counted;
	u64 taken = size == sizeof(*wide) ? *wide : *narrow;

	if (size == sizeof(*wide))
		*wide = 0;
	else
		*narrow = 0;
	return taken;
}

static __always_inline void flush_server(struct connection *c, struct service_sums *sums)
{
	u32 requests = TAKE(c->requests), answers = TAKE(c->answers);

	add(sums->requests, requests);
	add(sums->answers, answers);
	add(sums->bytes_in, TAKE(c->bytes_in));
	add(sums->bytes_out, TAKE(c->bytes_out));
	add(sums->latency_count, TAKE(c->timed));
	add(sums->latency_ns, TAKE(c->latency_ns));
	add(sums->service_ns, TAKE(c->service_ns));
	if (c->peer != PEER_HERE) {
		c->edge_requests += requests;
		c->edge_answers += answers;
	}
	if (c->pid && sums->pid != c->pid) {
		sums->pid = c->pid;
		sums->cgroup_id = c->cgroup_id;
		__builtin_memcpy(sums->comm, c->comm, COMM_LEN);
	}
}

/* Who is at the other end, where that is here. */
static __always_inline void name_server(struct connection *c, struct edge_sums *edge)
{
	struct pair *pair = pair_at(c);

	if (!pair || !pair->has_server)
		return;
	edge->is_local = 1;
	edge->server_pid = pair->server;
	__builtin_memcpy(edge->server_comm, pair->server_comm, COMM_LEN);
}

static __always_inline void flush_client(struct connection *c, struct edge_sums *sums)
{
	add(sums->requests, TAKE(c->requests));
	add(sums->answers, TAKE(c->answers));
	add(sums->bytes_in, TAKE(c->bytes_in));
	add(sums->bytes_out, TAKE(c->bytes_out));
	add(sums->latency_count, TAKE(c->timed));
	add(sums->latency_ns, TAKE(c->latency_ns));
	if (!sums->cgroup_id) {
		sums->cgroup_id = c->cgroup_id;
		__builtin_memcpy(sums->comm, c->comm, COMM_LEN);
		name_server(c, sums);
	}
}

/* Sums are added to when a request is timed; nothing tells the end of what is not TCP, so there each time. */
static __always_inline bool needs_sums(struct connection *c, u64 latency)
{
	return c->weight || c->at.protocol != TCP || latency > LONG_NS;
}

/* The server has begun to answer. */
static __always_inline void answered(struct connection *c)
{
	u64 now = clock_of(c), latency = age_of(c->began, now), service = age_of(c->read_at, now);
	struct service_sums *sums = needs_sums(c, latency) ? sums_of(c) : NULL;

	c->answers++;
	if (sums && !is_stream(c)) {
		c->recent += !!c->weight;
		c->timed += c->weight;
		c->latency_ns += latency * c->weight;
		c->service_ns += service * c->weight;
		count_in(sums->latency, latency, c->weight);
		count_in(sums->queue, latency > service ? latency - service : 0, c->weight);
		count_in(sums->service, service, c->weight);
		if (latency > sums->max_ns && (c->weight || latency > LONG_NS))
			sums->max_ns = latency;
	}
	if (sums && c->at.protocol != TCP)
		flush_server(c, sums);
	/* Several inputs before an answer in several parts, again and again: requests that overlap. */
	if (c->turns >= 2 && c->outputs >= 2)
		more_like_stream(c, 2);
	else if (c->score)
		c->score--;
	c->outputs = 1;
	c->has_answered = 1;
	if (c->ahead)
		begin(c, c->ahead);
	else
		c->began = 0;
}

/* The answer has arrived at the client. */
static __always_inline void answered_to(struct connection *c)
{
	u64 latency = age_of(c->began, clock_of(c));
	struct edge_sums *sums = needs_sums(c, latency) ? edge_of(c) : NULL;

	c->answers++;
	if (sums && !is_stream(c)) {
		c->recent += !!c->weight;
		c->timed += c->weight;
		c->latency_ns += latency * c->weight;
		count_in(sums->latency, latency, c->weight);
		if (latency > sums->max_ns && (c->weight || latency > LONG_NS))
			sums->max_ns = latency;
	}
	if (sums && c->at.protocol != TCP)
		flush_client(c, sums);
	if (c->score)
		c->score--;
	c->has_answered = 1;
	c->began = 0;
	c->turns = 0;
}

/* Some ways of reading go past the hooks: splice(2), a sockmap, zero-copy receive. */
static __always_inline bool is_read_unseen(struct sock *sk, struct connection *c)
{
	if (c->at.protocol != TCP || unread_bytes(sk))
		return false;
	c->read_at = c->began;
	c->weight = 0;
	return true;
}

/* The connection ends, or breaks, with a request under way. */
static __always_inline void give_up(struct connection *c, bool broken)
{
	bool abandoned = c->began && !c->connecting && !is_stream(c) &&
			 (broken || bpf_ktime_get_ns() - c->began > PATIENCE_NS);
	struct service_sums *sums;
	struct edge_sums *edge;

	if (c->role == SERVER) {
		sums = sums_of(c);
		if (sums) {
			flush_server(c, sums);
			add(sums->abandoned, abandoned);
		}
	} else {
		edge = edge_of(c);
		if (edge) {
			flush_client(c, edge);
			add(edge->abandoned, abandoned);
		}
	}
	c->began = 0;
}

#endif
