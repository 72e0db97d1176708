/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The TCP sockets that each process has open, added up (read by collectors/bpf/socket_owner.py), and
 * who has certain sockets (read by collectors/bpf/holders.py).
 */
#include "sock.h"

typedef struct { long counter; } atomic_long_t;
typedef struct { atomic_long_t refcnt; } file_ref_t;
struct file { file_ref_t f_ref; struct inode *f_inode; } VIEW; /* 90ee6ed776c0, 6.13: holders but the first */
struct file___6_12 { atomic_long_t f_count; } VIEW;
struct tcp_sock { u32 rcv_nxt, copied_seq, write_seq, snd_una; } VIEW;
struct bpf_iter__task_file { struct iterator_meta *meta; struct task_struct *task; struct file *file; } VIEW;

struct record {
	u32 pid, established, close_wait, syn_sent, listening, other;
	u64 receive_queue_bytes, send_queue_bytes;
	char comm[COMM_LEN];
};

struct record owner; /* the process that the iterator is at; it has one reader at a time */
const struct record nobody;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, u32);
} seen SEC(".maps"); /* sockets that may have several descriptors, and who was the last to show one */

u64 lost; /* sockets that may have been counted twice because that map was full */

/* The iterator holds the file, too. */
static __always_inline bool is_shared(struct file *file)
{
	if (bpf_core_field_exists(file->f_ref))
		return BPF_CORE_READ(file, f_ref.refcnt.counter) != 1;
	return BPF_CORE_READ((struct file___6_12 *)file, f_count.counter) != 2;
}

static __always_inline bool is_counted(u64 sock, u32 pid)
{
	u32 *last = bpf_map_lookup_elem(&seen, &sock);

	if (last && *last == pid)
		return true;
	if (bpf_map_update_elem(&seen, &sock, &pid, BPF_ANY))
		lost++;
	return false;
}

static __always_inline void count(struct tcp_sock *tcp, u8 state)
{
	s32 unread;

	if (state == LISTEN) { /* its queues count connections, not bytes */
		owner.listening++;
		return;
	}
	if (state == ESTABLISHED)
		owner.established++;
	else if (state == CLOSE_WAIT)
		owner.close_wait++;
	else if (state == SYN_SENT)
		owner.syn_sent++;
	else
		owner.other++;
	unread = tcp->rcv_nxt - tcp->copied_seq;
	if (unread > 0)
		owner.receive_queue_bytes += unread;
	owner.send_queue_bytes += (u32)(tcp->write_seq - tcp->snd_una);
}

SEC("iter/task_file")
int sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct tcp_sock *tcp;
	struct socket *socket;
	struct sock *sk;
	u32 pid = task ? task->tgid : 0;
	u16 family;
	u8 state;

	if (pid != owner.pid) {
		if (owner.pid && bpf_seq_write(ctx->meta->seq, &owner, sizeof(owner)))
			return 1; /* the buffer is full: the kernel empties it and comes back with this descriptor */
		owner.pid = 0;
	}
	if (!task || !file || task->pid != task->tgid)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	family = sk->__sk_common.skc_family;
	state = sk->__sk_common.skc_state;
	/* One that is closed, or was never connected, is in no table of the kernel's. */
	if ((family != AF_INET && family != AF_INET6) || state == CLOSE)
		return 0;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp || (is_shared(file) && is_counted((u64)sk, pid)))
		return 0;
	if (!owner.pid) {
		__builtin_memcpy(&owner, &nobody, sizeof(owner));
		owner.pid = pid;
		BPF_CORE_READ_STR_INTO(&owner.comm, task, comm);
	}
	count(tcp, state);
	return 0;
}

struct holder {
	u32 pid;
	char comm[COMM_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct holder);
} wanted SEC(".maps"); /* by inode; the reader puts in sockets, the program fills in who has them */

SEC("iter/task_file")
int holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct holder *holder;
	u64 inode;

	if (!task || !file || !bpf_sock_from_file(file))
		return 0;
	inode = file->f_inode->i_ino;
	holder = bpf_map_lookup_elem(&wanted, &inode);
	if (holder && !holder->pid) { /* of several, the first: usually the one that opened it */
		holder->pid = task->tgid;
		BPF_CORE_READ_STR_INTO(&holder->comm, task, group_leader, comm);
	}
	return 0;
}
