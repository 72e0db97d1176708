/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests to services and their answers, seen at the sockets of both sides.
 *
 * A request is a run of input after output on one connection, its answer the first output after the run
 * was read. What arrives after the last reading belongs to the next request, or to the same one if it is
 * read before the answer leaves.
 */
#include "service_look.h"
#include "service_states.h"

#define MSG_PEEK 2
enum { RCV_SHUTDOWN = 1, SEND_SHUTDOWN = 2 };

struct file { struct inode *f_inode; } VIEW;
struct bpf_iter__task_file { struct iterator_meta *meta; struct task_struct *task; struct file *file; } VIEW;
struct bpf_map;

/* The context of a program on iter/bpf_sk_storage_map. */
struct storage_iterator {
	struct iterator_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	struct connection *value;
};

static __always_inline struct connection *connection_of(struct sock *sk, enum seen seen)
{
	u16 family = sk->__sk_common.skc_family;
	struct connection *c;

	if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
		return NULL;
	c = bpf_sk_storage_get(&connections, sk, 0, 0);
	if (!c)
		c = first_sight(sk, seen);
	return c && c->role >= SERVER ? c : NULL;
}

/* Whether only the end of the connection arrived. */
static __always_inline bool is_end(struct sock *sk, struct connection *c)
{
	return c->at.protocol == TCP && sk->sk_shutdown & RCV_SHUTDOWN && unread_bytes(sk) <= 1;
}

static __noinline int arrives(struct sock *sk)
{
	struct connection *c = connection_of(sk, ARRIVES);

	if (!c)
		return 0;
	if (is_end(sk, c)) {
		if (c->role == CLIENT && c->began && !(sk->sk_shutdown & SEND_SHUTDOWN))
			give_up(c, true); /* the server closes and does not answer */
		return 0;
	}
	if (c->role == CLIENT) {
		if (c->began && !c->connecting)
			answered_to(c);
		else
			c->ahead = 1;
	} else if (!c->began) {
		begin(c, 0);
	} else if (c->read_at && !c->ahead) {
		c->ahead = bpf_ktime_get_ns();
	}
	return 0;
}

static __noinline int reads(struct sock *sk, int length, int flags)
{
	struct connection *c;

	if (length <= 0 || flags & MSG_PEEK)
		return 0;
	c = connection_of(sk, READS);
	if (!c)
		return 0;
	c->bytes_in += length;
	if (c->role == CLIENT) {
		c->ahead = 0;
		return 0;
	}
	if (note_process(c))
		tell_pair(c);
	if (!c->began) { /* its arrival was not seen */
		begin(c, coarse_ns());
		c->weight = 0;
	} else if (c->read_at && c->ahead) {
		take_turn(c);
	}
	c->ahead = 0;
	if (!c->read_at)
		c->read_at = clock_of(c);
	c->last = coarse_ns();
	return 0;
}

static __noinline int sends(struct sock *sk, int length)
{
	struct connection *c;
	u64 now;

	if (length <= 0)
		return 0;
	c = connection_of(sk, SENDS);
	if (!c)
		return 0;
	now = coarse_ns();
	c->bytes_out += length;
	if (c->role == CLIENT) {
		if (note_process(c))
			tell_pair(c);
		if (c->began && !c->connecting) {
			take_turn(c);
		} else if (c->ahead) { /* on loopback the answer can be there before this program is */
			c->requests++;
			c->answers++;
			c->ahead = 0;
		} else {
			begin(c, 0);
		}
	} else if (c->began && (c->read_at || is_read_unseen(sk, c))) {
		answered(c);
	} else {
		if (!c->began && c->last && age_of(c->last, now) > PAUSE_NS)
			more_like_stream(c, 2); /* output that nobody asked for */
		if (c->outputs < 255)
			c->outputs++;
	}
	c->last = now;
	return 0;
}

SEC("tp_btf/sk_data_ready")
int on_arrival(u64 *ctx)
{
	return arrives((struct sock *)ctx[0]);
}

SEC("tp_btf/sock_recv_length")
int on_read(u64 *ctx)
{
	return reads((struct sock *)ctx[0], ctx[1], ctx[2]);
}

SEC("tp_btf/sock_send_length")
int on_send(u64 *ctx)
{
	return sends((struct sock *)ctx[0], ctx[1]);
}

#include "service_functions.h"

SEC("tp_btf/inet_sock_set_state")
int on_state(u64 *ctx)
{
	BPF_ARG(struct sock *, sk, 0);
	BPF_ARG(int, before, 1);
	BPF_ARG(int, after, 2);

	if (sk->sk_protocol != IPPROTO_TCP || (after != LISTEN && before != LISTEN && is_part(sk)))
		return 0;
	if (after == LISTEN)
		listen_begins(sk);
	else if (before == LISTEN)
		listen_ends(sk);
	else if (after == SYN_SENT)
		connect_begins(sk);
	else if (after == ESTABLISHED)
		established(sk, before);
	else if (after == CLOSE)
		ended(sk);
	return 0;
}

SEC("tp_btf/tcp_send_reset")
int on_reset_sent(u64 *ctx)
{
	BPF_ARG(struct sock *, sk, 0);

	return sk ? reset(sk, true) : 0;
}

SEC("tp_btf/tcp_receive_reset")
int on_reset_received(u64 *ctx)
{
	BPF_ARG(struct sock *, sk, 0);

	return reset(sk, false);
}

SEC("raw_tp")
int set_clock(void *ctx)
{
	coarse_base = bpf_ktime_get_ns() - bpf_jiffies64() * tick_ns;
	return 0;
}

/* Sockets that are there before the collector: those that listen must be known before a connection is seen. */
SEC("iter/task_file")
int find_listeners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;

	if (!task || !file || task->pid != task->tgid)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (sk && sk->__sk_common.skc_state == LISTEN)
		known_listener(sk, task);
	return 0;
}

/* Every second: what is under way on each connection, and the sums that it did not add yet. */
SEC("iter/bpf_sk_storage_map")
int look(struct storage_iterator *ctx)
{
	struct connection *c = ctx->value;
	struct sock *sk = ctx->sk;

	if (!sk || !c)
		return 0;
	if (c->role == LISTENER)
		describe(sk, c);
	else if (c->role == SERVER)
		look_at_server(sk, c);
	else if (c->role == CLIENT)
		look_at_client(sk, c);
	return 0;
}
