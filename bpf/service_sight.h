/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a socket is when it is seen for the first time: of a service, of a client, or of no interest. */
#ifndef KERNELSIGHT_SERVICE_SIGHT_H
#define KERNELSIGHT_SERVICE_SIGHT_H

#include "service.h"

#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define SOCK_STREAM 1
#define SOCK_SEQPACKET 5
#define CREATE BPF_LOCAL_STORAGE_GET_F_CREATE
#define LOOPBACK_NET 127

struct ns_common { unsigned int inum; } VIEW;
struct net { struct ns_common ns; } VIEW;
struct sockaddr_un { u16 sun_family; char sun_path[NAME_LEN]; } VIEW;
struct unix_address { int len; struct sockaddr_un name[0]; } VIEW;
struct unix_sock { struct unix_address *addr; struct sock *peer; } VIEW;

struct tcp_sock { u32 rcv_nxt, copied_seq; bool is_mptcp; } VIEW;

enum seen { ARRIVES, READS, SENDS };

/* A part of a connection of MPTCP, which the kernel reads and writes by itself. */
static __always_inline bool is_part(struct sock *sk)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;

	return bpf_core_field_exists(tcp->is_mptcp) && BPF_CORE_READ(tcp, is_mptcp);
}

/* Bytes of TCP that nobody has read; the end of the connection counts as one. */
static __always_inline u32 unread_bytes(struct sock *sk)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;

	return BPF_CORE_READ(tcp, rcv_nxt) - BPF_CORE_READ(tcp, copied_seq);
}

static __always_inline u32 netns_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline void address_of(u8 *to, struct sock *sk, u16 family, bool remote)
{
	struct sock_common *common = &sk->__sk_common;

	if (family == AF_INET)
		bpf_core_read(to, 4, remote ? &common->skc_daddr : &common->skc_rcv_saddr);
	else if (bpf_core_field_exists(common->skc_v6_daddr))
		bpf_core_read(to, 16, remote ? &common->skc_v6_daddr : &common->skc_v6_rcv_saddr);
}

static __always_inline void place_of(struct service_key *at, struct sock *sk, bool remote)
{
	at->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	at->netns = netns_of(sk);
	at->port = remote ? __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport)) :
			    BPF_CORE_READ(sk, __sk_common.skc_num);
	address_of(at->address, sk, at->family, remote);
}

/* An end of a connection as one word; that of IPv4 is the same in a socket of IPv6. */
static __always_inline u64 end_of(struct sock *sk, bool remote, u32 *netns)
{
	struct service_key at = {};
	u64 *half = (u64 *)at.address;
	u32 *word = (u32 *)at.address;

	place_of(&at, sk, remote);
	if (at.family == AF_INET6 && !half[0] && word[2] == 0xffff0000) {
		word[0] = word[3];
		word[2] = word[3] = 0;
		at.family = AF_INET;
	}
	/* Every network namespace has a loopback interface of its own. */
	if (at.family == AF_INET ? at.address[0] == LOOPBACK_NET : !half[0] && half[1] == 1ULL << 56)
		*netns = at.netns;
	return mix(mix(mix(at.port, half[0]), half[1]), at.family);
}

static __always_inline u64 pair_of(struct sock *sk, enum role role)
{
	u32 netns = 0;
	u64 client = end_of(sk, role == SERVER, &netns);

	return mix(mix(client, end_of(sk, role == CLIENT, &netns)), netns) ?: 1;
}

/* Who listens at an address may listen at all of them. */
static __always_inline bool find_listener(struct service_key *at)
{
	struct service_key any = *at;

	if (bpf_map_lookup_elem(&places, at))
		return true;
	__builtin_memset(any.address, 0, sizeof(any.address));
	if (!bpf_map_lookup_elem(&places, &any)) {
		any.family = AF_INET6;
		if (!bpf_map_lookup_elem(&places, &any))
			return false;
	}
	*at = any;
	return true;
}

static __always_inline bool unix_place(struct service_key *at, struct sock *sk)
{
	struct unix_address *address = BPF_CORE_READ((struct unix_sock *)sk, addr);
	struct unix_name name = {};
	u64 hash = 0;

	if (!address)
		return false;
	name.length = BPF_CORE_READ(address, len) - sizeof(u16);
	if (name.length > NAME_LEN)
		return false;
	bpf_probe_read_kernel(name.name, name.length, (void *)address + bpf_core_field_offset(struct unix_address, name) + sizeof(u16));
	for (u32 i = 0; i < NAME_LEN / sizeof(u32); i++)
		hash = mix(hash, ((u32 *)name.name)[i]);
	at->family = AF_UNIX;
	at->protocol = UNIX;
	if (!name.name[0]) /* abstract names are those of a network namespace */
		at->netns = netns_of(sk);
	__builtin_memcpy(at->address, &hash, sizeof(hash));
	if (!bpf_map_lookup_elem(&unix_names, &hash))
		bpf_map_update_elem(&unix_names, &hash, &name, BPF_ANY);
	return true;
}

/* An accepted socket has its listener's name; clients have seldom one, and pairs of sockets never. */
static __always_inline void see_unix(struct connection *c, struct sock *sk)
{
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);
	u16 type = BPF_CORE_READ(sk, sk_type);

	if (type != SOCK_STREAM && type != SOCK_SEQPACKET)
		return;
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == LISTEN) {
		c->role = unix_place(&c->at, sk) ? LISTENER : STRANGER;
	} else if (peer && unix_place(&c->at, sk)) {
		c->role = SERVER;
		c->pair = (u64)sk;
	} else if (peer && unix_place(&c->at, peer)) {
		c->role = CLIENT;
		c->pair = (u64)peer;
	}
}

static __always_inline void see_tcp(struct connection *c, struct sock *sk)
{
	c->at.protocol = TCP;
	place_of(&c->at, sk, false);
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == LISTEN)
		c->role = LISTENER;
	else if (find_listener(&c->at))
		c->role = SERVER;
	else
		c->role = CLIENT;
	if (c->role == CLIENT) {
		__builtin_memset(c->at.address, 0, sizeof(c->at.address));
		place_of(&c->at, sk, true);
	}
	if (c->role != LISTENER)
		c->pair = pair_of(sk, c->role);
}

/* A service of UDP gets something before it sends, from anybody. */
static __always_inline void see_udp(struct connection *c, struct sock *sk, enum seen seen)
{
	bool is_connected = BPF_CORE_READ(sk, __sk_common.skc_dport);

	c->role = is_connected || seen == SENDS ? CLIENT : SERVER;
	c->at.protocol = UDP;
	if (c->role == SERVER || is_connected)
		place_of(&c->at, sk, c->role == CLIENT);
	else
		c->at.netns = netns_of(sk);
}

static __always_inline struct pair *pair_at(struct connection *c)
{
	struct pair *pair, fresh = {};
	u64 key = c->pair;

	if (!key)
		return NULL;
	pair = bpf_map_lookup_elem(&pairs, &key);
	if (pair)
		return pair;
	bpf_map_update_elem(&pairs, &key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&pairs, &key);
}

static __always_inline void meet(struct connection *c)
{
	struct pair *pair = pair_at(c);

	if (!pair)
		return;
	if (c->role == SERVER) {
		pair->has_server = 1;
		if (pair->has_client)
			c->peer = PEER_HERE;
	} else {
		pair->has_client = 1;
		if (pair->has_server)
			c->peer = PEER_HERE;
	}
}

static __always_inline struct connection *remember(struct sock *sk, struct connection *fresh)
{
	fresh->service = key_of(&fresh->at);
	return bpf_sk_storage_get(&connections, sk, fresh, CREATE);
}

static __noinline struct connection *first_sight(struct sock *sk, enum seen seen)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	u16 protocol = BPF_CORE_READ(sk, sk_protocol);
	struct connection fresh = {};

	if (family == AF_UNIX)
		see_unix(&fresh, sk);
	else if (protocol == IPPROTO_TCP && !is_part(sk))
		see_tcp(&fresh, sk);
	else if (protocol == IPPROTO_UDP)
		see_udp(&fresh, sk, seen);
	meet(&fresh);
	return remember(sk, &fresh);
}

#endif
