/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sockets that begin to listen, connect, break and end. */
#ifndef KERNELSIGHT_SERVICE_STATES_H
#define KERNELSIGHT_SERVICE_STATES_H

#include "service_look.h"

static __always_inline void count_place(struct service_key *at)
{
	u32 *sockets = bpf_map_lookup_elem(&places, at), one = 1;

	if (sockets)
		add(*sockets, 1);
	else if (bpf_map_update_elem(&places, at, &one, BPF_ANY))
		add(listeners_lost, 1);
}

static __always_inline void listen_begins(struct sock *sk)
{
	struct connection fresh = {.role = LISTENER, .at.protocol = TCP}, *c;

	place_of(&fresh.at, sk, false);
	c = remember(sk, &fresh);
	if (!c)
		return;
	__builtin_memcpy(c, &fresh, sizeof(fresh));
	note_process(c);
	count_place(&fresh.at);
}

static __always_inline void listen_ends(struct sock *sk)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);
	u32 *sockets;

	if (!c || c->role != LISTENER)
		return;
	c->role = STRANGER;
	sockets = bpf_map_lookup_elem(&places, &c->at);
	if (sockets && __sync_fetch_and_sub(sockets, 1) <= 1)
		bpf_map_delete_elem(&places, &c->at);
}

/* Found with a process, by the iterator over descriptors. */
static __always_inline void known_listener(struct sock *sk, struct task_struct *task)
{
	struct connection fresh = {}, *c = bpf_sk_storage_get(&connections, sk, 0, 0);
	u16 family = sk->__sk_common.skc_family;

	if (c)
		return;
	if (family == AF_UNIX)
		see_unix(&fresh, sk);
	else if ((family == AF_INET || family == AF_INET6) &&
		 (sk->sk_protocol == IPPROTO_TCP || sk->sk_protocol == IPPROTO_MPTCP))
		see_tcp(&fresh, sk);
	if (fresh.role != LISTENER)
		return;
	fresh.pid = task->tgid;
	fresh.cgroup_id = cgroup_of(task);
	BPF_CORE_READ_STR_INTO(&fresh.comm, task, comm);
	c = remember(sk, &fresh);
	if (c)
		count_place(&fresh.at);
}

static __always_inline void connect_begins(struct sock *sk)
{
	struct connection fresh = {.role = CLIENT, .at.protocol = TCP, .connecting = 1}, *c;

	fresh.began = bpf_ktime_get_ns();
	place_of(&fresh.at, sk, true);
	c = remember(sk, &fresh);
	if (!c)
		return;
	__builtin_memcpy(c, &fresh, sizeof(fresh));
	note_process(c);
}

static __always_inline void connected(struct sock *sk, struct connection *c)
{
	struct edge_sums *edge;

	c->connecting = 0;
	c->began = 0;
	c->pair = pair_of(sk, CLIENT);
	tell_pair(c);
	edge = edge_of(c);
	if (edge)
		add(edge->connects, 1);
}

static __always_inline void accepted(struct sock *sk)
{
	struct connection fresh = {.role = SERVER, .at.protocol = TCP}, *c;
	struct service_sums *sums;

	place_of(&fresh.at, sk, false);
	find_listener(&fresh.at);
	fresh.pair = pair_of(sk, SERVER);
	meet(&fresh);
	c = remember(sk, &fresh);
	sums = c ? sums_of(c) : NULL;
	if (sums)
		add(sums->accepted, 1);
}

static __noinline int established(struct sock *sk, int before)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);

	if (before == SYN_RECV && !c)
		accepted(sk);
	else if (c && c->role == CLIENT && c->connecting)
		connected(sk, c);
	return 0;
}

static __noinline int ended(struct sock *sk)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);
	struct edge_sums *edge;

	if (!c || c->role < SERVER)
		return 0;
	if (c->connecting) {
		edge = edge_of(c);
		if (edge)
			add(edge->refused, 1);
	}
	give_up(c, false);
	if (c->role == SERVER && c->edge_requests && is_elsewhere(c))
		tell_from_elsewhere(sk, c);
	c->role = STRANGER;
	return 0;
}

static __noinline int reset(struct sock *sk, bool sent)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);
	struct service_sums *sums;
	struct edge_sums *edge;

	if (!c || c->role < SERVER)
		return 0;
	if (c->role == SERVER) {
		sums = sums_of(c);
		if (sums && sent)
			add(sums->resets_sent, 1);
		else if (sums)
			add(sums->resets_received, 1);
	} else if (!sent && !c->connecting) {
		edge = edge_of(c);
		if (edge)
			add(edge->resets, 1);
	}
	if (c->began && !c->connecting)
		give_up(c, true);
	return 0;
}

#endif
