/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP connections that do not get on, and what they wait for. Kernels from 6.1 on. */
#ifndef KERNELSIGHT_TROUBLED_H
#define KERNELSIGHT_TROUBLED_H

#include "sock.h"

#define MAX_CONNECTIONS 256
#define SRTT_SHIFT 3	   /* srtt_us is kept in eighths (net/ipv4/tcp_input.c) */
#define SLOW_US 100000	   /* a round trip of a tenth of a second ... */
#define SLOW_TIMES 4	   /* ... and of several times the shortest that was seen */
#define LONG_WITHOUT_ACK 2 /* retransmissions in a row */

struct minmax_sample { u32 t, v; };
struct minmax { struct minmax_sample s[3]; } VIEW;
struct inet_connection_sock { u8 icsk_retransmits, icsk_probes_out; } VIEW;
struct tcp_sock___troubled {
	u32 rcv_nxt, copied_seq, write_seq, snd_una, snd_nxt, snd_wnd, rcv_wnd, mss_cache, srtt_us;
	struct minmax rtt_min;
} __attribute__((preserve_access_index));

enum { NOTHING, ANSWER, ACKNOWLEDGEMENT, WINDOW, READER, ROUND_TRIP };

struct connection {
	struct place at, peer; /* without an inode of the peer */
	u32 state, waits_for, was_accepted;
	u32 unsent_bytes, unacknowledged_bytes, unread_bytes;
	u32 send_window_bytes, receive_window_bytes;
	u32 srtt_us, min_rtt_us, retransmits;
};

u32 troubled;	      /* connections that do not get on */
u32 lost_connections; /* those that the array has no room for */
struct connection connections_found[MAX_CONNECTIONS];

#define TCP(member) BPF_CORE_READ(tcp, member)

static __always_inline u32 waits_for(struct connection *c, u32 mss)
{
	if (c->state == SYN_SENT)
		return c->retransmits ? ANSWER : NOTHING;
	/* As tcp_info says it: there is more to send, and the window has no room for another segment. */
	if (c->unsent_bytes && c->unacknowledged_bytes + mss > c->send_window_bytes)
		return WINDOW;
	if (c->unacknowledged_bytes && c->retransmits >= LONG_WITHOUT_ACK)
		return ACKNOWLEDGEMENT;
	if (c->unread_bytes > c->receive_window_bytes)
		return READER;
	if (c->unacknowledged_bytes && c->srtt_us >= SLOW_US && c->srtt_us >= SLOW_TIMES * c->min_rtt_us)
		return ROUND_TRIP;
	return NOTHING;
}

static __always_inline void find_peer(struct place *peer, struct sock *sk)
{
	peer->inode = 0;
	peer->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	peer->port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (peer->family == AF_INET)
		BPF_CORE_READ_INTO((u32 *)peer->address, sk, __sk_common.skc_daddr);
	else
		BPF_CORE_READ_INTO((struct in6_addr *)peer->address, sk, __sk_common.skc_v6_daddr);
}

/* Notes a connection that does not get on, of any network namespace. */
static __always_inline void note_if_troubled(struct sock *sk, u32 state)
{
	struct tcp_sock___troubled *tcp = (void *)sk;
	struct connection *c;
	u32 sent, next, una, mss;

	if (state != ESTABLISHED && state != SYN_SENT && state != CLOSE_WAIT && state != FIN_WAIT1)
		return;
	c = &connections_found[troubled & (MAX_CONNECTIONS - 1)];
	una = TCP(snd_una);
	next = TCP(snd_nxt);
	sent = TCP(write_seq);
	c->state = state;
	c->unacknowledged_bytes = next - una;
	c->unsent_bytes = (s32)(sent - next) > 0 ? sent - next : 0;
	c->unread_bytes = TCP(rcv_nxt) - TCP(copied_seq);
	if (!c->unacknowledged_bytes && !c->unsent_bytes && !c->unread_bytes)
		return;
	if ((s32)c->unread_bytes < 0 || state == SYN_SENT)
		c->unread_bytes = 0;
	mss = TCP(mss_cache);
	c->send_window_bytes = TCP(snd_wnd);
	c->receive_window_bytes = TCP(rcv_wnd);
	c->srtt_us = TCP(srtt_us) >> SRTT_SHIFT;
	c->min_rtt_us = TCP(rtt_min.s[0].v);
	if (c->min_rtt_us == (u32)-1) /* none was measured yet */
		c->min_rtt_us = 0;
	c->retransmits = BPF_CORE_READ((struct inet_connection_sock *)sk, icsk_retransmits);
	c->waits_for = waits_for(c, mss);
	if (c->waits_for == NOTHING)
		return;
	/* A socket of accept(2) begins as a copy of the listener, which has a backlog. */
	c->was_accepted = BPF_CORE_READ(sk, sk_max_ack_backlog) != 0;
	find_place(&c->at, sk);
	find_peer(&c->peer, sk);
	if (troubled < MAX_CONNECTIONS - 1)
		troubled++;
	else
		lost_connections++;
}

#endif
