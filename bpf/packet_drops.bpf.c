/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that the kernel gave up, by its reason, the interface, the place, and whose they were.
 *
 * What it frees because it is done with it goes past another tracepoint (skb:consume_skb). Nothing is
 * cleared here: the reader takes differences, so that no count falls between two reads.
 */
#include "common.h"

#define MOST_INDEX (1 << 24)
#define NAME_LEN 16
#define PLACE_LEN 80
#define HASH_SIZE 256 /* NETDEV_HASHENTRIES */
#define HASH_CHAIN 16

struct hlist_node { struct hlist_node *next; } VIEW;
struct hlist_head { struct hlist_node *first; } VIEW;
struct net { struct hlist_head *dev_index_head; } VIEW;
typedef struct { struct net *net; } VIEW possible_net_t;
struct net_device { char name[NAME_LEN]; u32 ifindex; struct hlist_node index_hlist; } VIEW;
struct sock_common { possible_net_t skc_net; volatile unsigned char skc_state; } VIEW;
struct inode { unsigned long i_ino; } VIEW;
struct file { struct inode *f_inode; } VIEW;
struct socket { struct file *file; } VIEW;
struct sock { struct sock_common __sk_common; struct socket *sk_socket; } VIEW;
struct dst_entry { struct net_device *dev; } VIEW;
struct sk_buff {
	struct net_device *dev; /* in a union with what queues need, see is_device() */
	struct sock *sk;
	unsigned long _skb_refdst;
	u32 len;
	u32 skb_iif;
	u16 protocol;
} VIEW;
enum skb_drop_reason { /* the running kernel's numbers count */
	SKB_DROP_REASON_NOT_SPECIFIED = 2,
	SKB_DROP_REASON_SOCKET_RCVBUFF = 6,
	SKB_DROP_REASON_NETFILTER_DROP = 12,
	SKB_DROP_REASON_PROTO_MEM = 20,
	SKB_DROP_REASON_SOCKET_BACKLOG = 29,
	SKB_DROP_REASON_TCP_LISTEN_OVERFLOW = 40,
	SKB_DROP_REASON_QDISC_DROP = 64,
	SKB_DROP_REASON_QUEUE_PURGE = 104,
};
#define TCP_TIME_WAIT 6
#define TCP_NEW_SYN_RECV 12
enum origin { LOCAL, REMOTE };
struct trace_event_raw_kfree_skb {
	enum skb_drop_reason reason; /* since c504e5c2f964 (5.17) */
	void *rx_sk; /* since c53795d48ee8 (6.11) */
} VIEW;

struct drop_key {
	u64 location, inode; /* of the socket that it came from or was for; 0 where that is not of interest */
	u32 reason, origin;
	char interface[NAME_LEN];
};

struct drop_count {
	u64 count, bytes;
	char place[PLACE_LEN]; /* location as the kernel prints it: function+0x12/0x34 [module] */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct drop_key);
	__type(value, struct drop_count);
} drops SEC(".maps");

u64 drops_lost; /* packets for which the map had no room */

/*
 * A packet in a queue has other things where its device was (struct udp_dev_scratch, a node of a tree),
 * and some are dropped as they come out of it. A device lies in the kernel's memory and has an index
 * and a name.
 */
static __always_inline bool is_device(struct net_device *dev)
{
	u32 index;
	char first;

	if ((s64)dev >= 0)
		return false;
	index = BPF_CORE_READ(dev, ifindex);
	first = BPF_CORE_READ(dev, name[0]);
	return index && index < MOST_INDEX && first > ' ' && first < 127;
}

/* TCP takes the device off a packet before it looks at it; the index that is left needs the socket's namespace. */
static __always_inline struct net_device *device_by_index(struct net *net, u32 index)
{
	struct hlist_head *head = BPF_CORE_READ(net, dev_index_head);
	struct hlist_node *node = BPF_CORE_READ(&head[index & (HASH_SIZE - 1)], first);
	struct net_device *dev;

	for (int i = 0; i < HASH_CHAIN && node; i++) {
		dev = (void *)node - bpf_core_field_offset(struct net_device, index_hlist);
		if (BPF_CORE_READ(dev, ifindex) == index)
			return dev;
		node = BPF_CORE_READ(node, next);
	}
	return NULL;
}

/* On its way out a packet has a route before it has a device; the lowest bit says who counts the route. */
static __always_inline struct net_device *device_of_route(struct sk_buff *skb)
{
	struct dst_entry *route = (void *)(BPF_CORE_READ(skb, _skb_refdst) & ~1UL);
	struct net_device *dev = route ? BPF_CORE_READ(route, dev) : NULL;

	/* One that has come in has a route to the loopback interface, whichever it came by. */
	return dev && !skb->skb_iif && is_device(dev) ? dev : NULL;
}

#define IS_REASON(number, name) \
	(bpf_core_enum_value_exists(enum skb_drop_reason, name) && \
	 (number) == bpf_core_enum_value(enum skb_drop_reason, name))

/* Only of these, where their number is not that of all connections that something comes late for. */
static __always_inline bool has_owner(u32 reason)
{
	return IS_REASON(reason, SKB_DROP_REASON_SOCKET_RCVBUFF) || IS_REASON(reason, SKB_DROP_REASON_NETFILTER_DROP) ||
	       IS_REASON(reason, SKB_DROP_REASON_PROTO_MEM) || IS_REASON(reason, SKB_DROP_REASON_SOCKET_BACKLOG) ||
	       IS_REASON(reason, SKB_DROP_REASON_TCP_LISTEN_OVERFLOW) ||
	       IS_REASON(reason, SKB_DROP_REASON_QDISC_DROP);
}

/* Requests for connections and what is left of closed ones are no whole sockets. */
static __always_inline u64 inode_of(struct sock *sk)
{
	u8 state = sk ? BPF_CORE_READ(sk, __sk_common.skc_state) : TCP_TIME_WAIT;

	if (state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV)
		return 0;
	return BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
}

static __always_inline struct drop_count *count_of(struct drop_key *key)
{
	struct drop_count *found = bpf_map_lookup_elem(&drops, key), first = {};

	if (found)
		return found;
	BPF_SNPRINTF(first.place, PLACE_LEN, "%pB", (void *)key->location);
	bpf_map_update_elem(&drops, key, &first, BPF_NOEXIST);
	return bpf_map_lookup_elem(&drops, key);
}

SEC("tp_btf/kfree_skb")
int on_drop(u64 *ctx)
{
	BPF_ARG(struct sk_buff *, skb, 0);
	struct net_device *dev = BPF_CORE_READ(skb, dev);
	struct drop_key key = {.location = ctx[1]};
	struct sock *receiver = NULL;
	struct drop_count *count;
	bool explained = false;

	/* Messages of Unix and netlink sockets are no packets, nor is what TCP has not sent yet. */
	if (!skb->protocol)
		return 0;
	if (bpf_core_field_exists(struct trace_event_raw_kfree_skb, reason)) {
		key.reason = ctx[2];
		explained = !IS_REASON(key.reason, SKB_DROP_REASON_NOT_SPECIFIED);
	}
	if (bpf_core_field_exists(struct trace_event_raw_kfree_skb, rx_sk))
		receiver = (struct sock *)ctx[3];
	/* What is in a queue that is emptied, as when its socket is closed, is not dropped on its way. */
	if (explained && IS_REASON(key.reason, SKB_DROP_REASON_QUEUE_PURGE))
		return 0;
	if (!is_device(dev)) {
		/* It had come to its socket; what is freed there without a reason has been dealt with. */
		if (!explained)
			return 0;
		dev = receiver && skb->skb_iif ?
			device_by_index(BPF_CORE_READ(receiver, __sk_common.skc_net.net), skb->skb_iif) : device_of_route(skb);
	}
	if (dev)
		BPF_CORE_READ_STR_INTO(&key.interface, dev, name);
	key.origin = skb->skb_iif ? REMOTE : LOCAL;
	if (explained && has_owner(key.reason))
		key.inode = inode_of(receiver ? receiver : skb->sk);
	count = count_of(&key);
	if (!count && key.inode) {
		key.inode = 0;
		count = count_of(&key);
	}
	if (!count) {
		add(drops_lost, 1);
		return 0;
	}
	add(count->count, 1);
	add(count->bytes, skb->len);
	return 0;
}
