/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Segments that TCP sent again.
 *
 * A timer or an arriving packet sends them, so the running task says nothing about the owner. What is
 * known is the socket's inode; the reader looks for who has it (socket_owners.bpf.c).
 */
#include "common.h"

#define AF_INET 2
#define AF_INET6 10
#define NAME_LEN 16

struct in6_addr { u8 bytes[16]; };
struct sock_common {
	u32 skc_daddr, skc_rcv_saddr;
	u16 skc_dport, skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr; /* only of kernels with IPv6 */
} VIEW;
struct inode { unsigned long i_ino; } VIEW;
struct file { struct inode *f_inode; } VIEW;
struct socket { struct file *file; } VIEW;
struct net_device { char name[NAME_LEN]; } VIEW;
struct dst_entry { struct net_device *dev; } VIEW;
struct sock { struct sock_common __sk_common; struct socket *sk_socket; struct dst_entry *sk_dst_cache; } VIEW;
struct request_sock { struct sock_common __req_common; } VIEW;
struct sk_buff { char cb[48]; } VIEW;
struct tcp_skb_cb { u16 tcp_gso_segs; } VIEW;
struct trace_event_raw_tcp_retransmit_skb { int err; } VIEW;

struct retransmit {
	u64 sent_at, inode;
	u8 local[16], remote[16];
	u32 segments, state;
	u16 family, sport, dport, padding;
	char interface[NAME_LEN]; /* by the socket's route; empty where it has none */
};
RECORD(retransmit);

/* As large as the most that one second may bring: 2,900 records; the rest is counted. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} retransmits SEC(".maps");

u64 retransmits_lost;

static __always_inline void add_retransmit(struct sock_common *socket, struct sock *owned, u32 segments)
{
	struct retransmit *record = bpf_ringbuf_reserve(&retransmits, sizeof(*record), 0);

	if (!record) {
		add(retransmits_lost, 1);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->sent_at = bpf_ktime_get_ns();
	record->inode = BPF_CORE_READ(owned, sk_socket, file, f_inode, i_ino);
	BPF_CORE_READ_STR_INTO(&record->interface, owned, sk_dst_cache, dev, name);
	record->segments = segments;
	record->state = socket->skc_state;
	record->family = socket->skc_family;
	record->sport = socket->skc_num;
	record->dport = __builtin_bswap16(socket->skc_dport);
	if (record->family == AF_INET) {
		bpf_core_read(record->local, 4, &socket->skc_rcv_saddr);
		bpf_core_read(record->remote, 4, &socket->skc_daddr);
	} else if (record->family == AF_INET6 && bpf_core_field_exists(socket->skc_v6_daddr)) {
		bpf_core_read(record->local, 16, &socket->skc_v6_rcv_saddr);
		bpf_core_read(record->remote, 16, &socket->skc_v6_daddr);
	}
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP); /* the reader comes every second */
}

SEC("tp_btf/tcp_retransmit_skb")
int on_retransmit(u64 *ctx)
{
	BPF_ARG(struct sock *, sk, 0);
	BPF_ARG(struct sk_buff *, skb, 1);

	/* Since ad892e912b84 (6.17) it is said of attempts too that sent nothing. */
	if (bpf_core_field_exists(struct trace_event_raw_tcp_retransmit_skb, err) && (int)ctx[2])
		return 0;
	add_retransmit(&sk->__sk_common, sk, BPF_CORE_READ((struct tcp_skb_cb *)&skb->cb, tcp_gso_segs));
	return 0;
}

/* An answer to a SYN: there is no socket of its own yet, but a request at the one that listens. */
SEC("tp_btf/tcp_retransmit_synack")
int on_retransmit_synack(u64 *ctx)
{
	BPF_ARG(struct sock *, listener, 0);
	BPF_ARG(struct request_sock *, request, 1);

	add_retransmit(&request->__req_common, listener, 1);
	return 0;
}
