/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* UDP sockets whose receive queue holds something or has overflowed (read by collectors/bpf/udp_socket.py). */
#include "sock.h"

struct udp_sock { int forward_deficit; } VIEW;
struct bpf_iter__udp { struct iterator_meta *meta; struct udp_sock *udp_sk; } VIEW;

struct record {
	struct place at;
	u32 receive_queue, receive_buffer, drops;
};
RECORD(record);

u32 everything; /* write down the others too */

SEC("iter/udp")
int udp(struct bpf_iter__udp *ctx)
{
	struct udp_sock *udp = ctx->udp_sk;
	struct sock *sk = (struct sock *)udp;
	struct record r = {};

	if (!udp)
		return 0;
	r.receive_queue = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter) - udp->forward_deficit;
	r.receive_buffer = BPF_CORE_READ(sk, sk_rcvbuf);
	r.drops = drops_of(sk);
	if (!everything && !r.receive_queue && !r.drops)
		return 0;
	find_place(&r.at, sk);
	return bpf_seq_write(ctx->meta->seq, &r, sizeof(r)) ? 1 : 0;
}
