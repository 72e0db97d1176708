/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Views of sockets, for the programs that read them. */
#ifndef KERNELSIGHT_SOCK_H
#define KERNELSIGHT_SOCK_H

#include "common.h"

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

/* include/net/tcp_states.h */
enum { ESTABLISHED = 1, SYN_SENT = 2, SYN_RECV = 3, FIN_WAIT1 = 4, TIME_WAIT = 6, CLOSE = 7, CLOSE_WAIT = 8, LISTEN = 10, STATES = 16 };

typedef struct { int counter; } atomic_t;
typedef struct { struct net *net; } possible_net_t;
struct in6_addr { u8 bytes[16]; };
struct hlist_nulls_node { struct hlist_nulls_node *next; } VIEW;
struct sock_common {
	u32 skc_daddr, skc_rcv_saddr;
	u16 skc_dport; /* in the byte order of the network */
	u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
	struct hlist_nulls_node skc_nulls_node;
} VIEW;
struct inode { unsigned long i_ino; } VIEW;
struct socket { struct sock *sk; } VIEW;
struct socket_alloc { struct socket socket; struct inode vfs_inode; } VIEW;
struct sock {
	struct sock_common __sk_common;
	atomic_t sk_drops;
	struct { atomic_t rmem_alloc; } sk_backlog;
	int sk_rcvbuf;
	u32 sk_ack_backlog, sk_max_ack_backlog;
	u16 sk_type, sk_protocol;
	u8 sk_shutdown;
	struct socket *sk_socket;
} VIEW;

struct numa_drop_counters { atomic_t drops0, drops1; } VIEW;
struct sock___6_18 { struct numa_drop_counters *sk_drop_counters; } VIEW; /* where UDP counts since 6.18 */

static __always_inline u32 drops_of(struct sock *sk)
{
	struct sock___6_18 *newer = (void *)sk;
	struct numa_drop_counters *counters;

	if (bpf_core_field_exists(newer->sk_drop_counters)) {
		counters = BPF_CORE_READ(newer, sk_drop_counters);
		if (counters)
			return BPF_CORE_READ(counters, drops0.counter) + BPF_CORE_READ(counters, drops1.counter);
	}
	return BPF_CORE_READ(sk, sk_drops.counter);
}

/* Where a socket listens, as the collectors read it. */
struct place {
	u64 inode; /* 0: no process has it */
	u16 family, port;
	u8 address[16];
};

static __always_inline void find_place(struct place *place, struct sock *sk)
{
	struct socket_alloc *owner = (struct socket_alloc *)BPF_CORE_READ(sk, sk_socket);

	place->inode = owner ? BPF_CORE_READ(owner, vfs_inode.i_ino) : 0;
	place->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	place->port = BPF_CORE_READ(sk, __sk_common.skc_num);
	if (place->family == AF_INET)
		BPF_CORE_READ_INTO((u32 *)place->address, sk, __sk_common.skc_rcv_saddr);
	else
		BPF_CORE_READ_INTO((struct in6_addr *)place->address, sk, __sk_common.skc_v6_rcv_saddr);
}

#endif
