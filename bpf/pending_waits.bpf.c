/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections and pipes whose ends keep each other waiting (read by collectors/bpf/pending_wait.py).
 *
 * A wait that has not ended is in no account of waits. But each TCP socket knows when it last sent and
 * last received data, and each pipe whether it is full: so a pass over all descriptors finds who has
 * waited for whom, however long ago that began.
 */
#include "calls.h"
#include "sock.h"

#define S_IFMT 0170000
#define S_IFIFO 0010000
#define FMODE_READ 1
#define AF_UNIX 1
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define IPPROTO_UDP 17

enum kind { OF_TCP, OF_UDP, OF_UNIX, OF_PIPE };

struct pipe_inode_info { unsigned int head, tail, max_usage; } VIEW;
struct inode___pipe { u16 i_mode; unsigned long i_ino; struct pipe_inode_info *i_pipe; } VIEW;
struct file { unsigned int f_mode; struct inode___pipe *f_inode; } VIEW;
struct upid { int nr; } VIEW;
struct pid { struct upid numbers[1]; } VIEW;
struct sk_buff { u32 len; } VIEW;
struct sk_buff_head { struct sk_buff *next; u32 qlen; } VIEW;
struct sock_common___remote {
	u32 skc_daddr;
	u16 skc_dport;
	int skc_incoming_cpu;
	struct in6_addr skc_v6_daddr;
} VIEW;
struct sock___queue {
	struct sock_common___remote __sk_common;
	struct sk_buff_head sk_receive_queue;
	struct pid *sk_peer_pid;
	u16 sk_type, sk_protocol;
} VIEW;
struct inet_connection_sock {
	struct { u32 lrcvtime; } icsk_ack;
} VIEW;
struct tcp_sock {
	u32 lsndtime, rcv_tstamp, rcv_nxt, copied_seq, data_segs_out;
	u64 bytes_received;
} VIEW;
struct bpf_iter__task_file { struct iterator_meta *meta; struct task_struct *task; u32 fd; struct file *file; } VIEW;

struct end {
	u64 inode;	/* of the pipe, or of the socket */
	u64 mark;	/* what changes as soon as something is read */
	u32 pid, fd;
	u32 kind;
	u32 sent_ago, received_ago; /* jiffies */
	u32 unread;		    /* bytes, or pages of a pipe, or datagrams */
	u32 peer_pid;		    /* of a Unix socket: who connected it */
	u16 family, local_port, remote_port;
	u8 listens, reads, oneway, padding[3];
	u8 local_address[16], remote_address[16];
	char comm[COMM_LEN];
};
RECORD(end);

#define MOST 8192

u32 a_second = 250; /* ticks */
u64 ticks;
u32 told;
u64 lost; /* ends that were not told because there are too many */

struct ports {
	u32 seen;   /* in which pass somebody was last seen to listen there */
	u32 wanted; /* in which pass both ends of all connections to it are to be told */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, struct ports);
} listening SEC(".maps");

u32 pass;

/* What the iterator is at, once it is known not to be null. */
struct at {
	struct seq_file *seq;
	struct task_struct *task;
	struct file *file;
	u32 fd;
};

static __always_inline int tell(struct at *at, struct end *end)
{
	if (told >= MOST) {
		lost++;
		return 0;
	}
	if (bpf_seq_write(at->seq, end, sizeof(*end)))
		return 1; /* the buffer is full: the kernel empties it and comes back with this descriptor */
	told++;
	return 0;
}

static __always_inline void describe(struct at *at, struct end *end, u32 kind)
{
	struct task_struct *task = at->task;
	struct file *file = at->file;

	end->kind = kind;
	end->pid = task->tgid;
	end->fd = at->fd;
	end->inode = BPF_CORE_READ(file, f_inode, i_ino);
	BPF_CORE_READ_STR_INTO(&end->comm, task, group_leader, comm);
}

static __always_inline void describe_places(struct end *end, struct sock *sk)
{
	struct sock___queue *more = (void *)sk;

	end->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	end->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	end->remote_port = __builtin_bswap16(BPF_CORE_READ(more, __sk_common.skc_dport));
	if (end->family == AF_INET) {
		BPF_CORE_READ_INTO((u32 *)end->local_address, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((u32 *)end->remote_address, more, __sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO((struct in6_addr *)end->local_address, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO((struct in6_addr *)end->remote_address, more, __sk_common.skc_v6_daddr);
	}
}

/* A pipe that is full: whoever writes waits for whoever reads. */
static __always_inline int look_at_pipe(struct at *at, struct inode___pipe *inode)
{
	struct pipe_inode_info *pipe = BPF_CORE_READ(inode, i_pipe);
	struct file *file = at->file;
	u32 tail, used;
	struct end end = {};

	if (!pipe)
		return 0;
	tail = BPF_CORE_READ(pipe, tail);
	used = BPF_CORE_READ(pipe, head) - tail;
	if (!used || used < BPF_CORE_READ(pipe, max_usage))
		return 0;
	describe(at, &end, OF_PIPE);
	end.mark = tail;
	end.unread = used;
	end.reads = BPF_CORE_READ(file, f_mode) & FMODE_READ;
	return tell(at, &end);
}

static __always_inline int look_at_unix(struct at *at, struct sock *sk)
{
	struct sock___queue *more = (void *)sk;
	struct end end = {};

	if (BPF_CORE_READ(more, sk_type) != SOCK_STREAM || sk->__sk_common.skc_state != ESTABLISHED)
		return 0;
	end.unread = BPF_CORE_READ(more, sk_receive_queue.qlen);
	if (!end.unread)
		return 0;
	describe(at, &end, OF_UNIX);
	end.reads = 1;
	end.mark = (u64)BPF_CORE_READ(more, sk_receive_queue.next);
	end.peer_pid = BPF_CORE_READ(more, sk_peer_pid, numbers[0].nr);
	return tell(at, &end);
}

/* A connected socket that has received nothing at all. */
static __always_inline int look_at_udp(struct at *at, struct sock *sk)
{
	struct sock___queue *more = (void *)sk;
	struct end end = {};

	if (BPF_CORE_READ(more, sk_type) != SOCK_DGRAM || BPF_CORE_READ(more, sk_protocol) != IPPROTO_UDP)
		return 0;
	if (sk->__sk_common.skc_state != ESTABLISHED || BPF_CORE_READ(more, __sk_common.skc_incoming_cpu) >= 0)
		return 0;
	describe(at, &end, OF_UDP);
	describe_places(&end, sk);
	end.mark = (u64)sk;
	return tell(at, &end);
}

static __always_inline int look_at_tcp(struct at *at, struct sock *sk, struct tcp_sock *tcp)
{
	struct inet_connection_sock *connection = (void *)sk;
	struct sock___queue *more = (void *)sk;
	u32 state = sk->__sk_common.skc_state, port = sk->__sk_common.skc_num, now = ticks;
	u32 sent, received;
	struct ports *ports, first = {.seen = pass};
	struct end end = {};
	bool waits;

	ports = bpf_map_lookup_elem(&listening, &port);
	if (state == LISTEN) {
		if (ports)
			ports->seen = pass;
		else
			bpf_map_update_elem(&listening, &port, &first, BPF_ANY);
		return 0;
	}
	if (state != ESTABLISHED && state != CLOSE_WAIT)
		return 0;
	end.listens = ports && ports->seen + 1 >= pass;
	sent = now - tcp->lsndtime;
	received = now - BPF_CORE_READ(connection, icsk_ack.lrcvtime);
	end.unread = tcp->rcv_nxt - tcp->copied_seq;
	if ((s32)end.unread < 0)
		end.unread = 0;
	if (end.listens)
		waits = received >= a_second && received < sent;
	else
		/* In one tick, both are said to be at once: then an acknowledgement that came later is of what was sent. */
		waits = sent >= a_second &&
			(sent < received || (sent == received && now - tcp->rcv_tstamp < received));
	if (!end.listens) {
		port = __builtin_bswap16(BPF_CORE_READ(more, __sk_common.skc_dport));
		ports = bpf_map_lookup_elem(&listening, &port);
	}
	if (!waits && !(ports && ports->wanted == pass))
		return 0;
	describe(at, &end, OF_TCP);
	describe_places(&end, sk);
	end.sent_ago = sent;
	end.received_ago = received;
	end.reads = waits;
	end.oneway = !tcp->bytes_received && tcp->data_segs_out > 16;
	return tell(at, &end);
}

SEC("iter/task_file")
int ends(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct inode___pipe *inode;
	struct tcp_sock *tcp;
	struct socket *socket;
	struct sock *sk;
	struct at at;
	u16 family;

	ticks = bpf_jiffies64();
	if (!task || !file || task->pid != task->tgid)
		return 0;
	at.seq = ctx->meta->seq;
	at.task = task;
	at.file = file;
	at.fd = ctx->fd;
	socket = bpf_sock_from_file(file);
	if (!socket) {
		inode = file->f_inode;
		if (inode && (inode->i_mode & S_IFMT) == S_IFIFO)
			return look_at_pipe(&at, inode);
		return 0;
	}
	sk = socket->sk;
	if (!sk)
		return 0;
	family = sk->__sk_common.skc_family;
	if (family == AF_UNIX)
		return look_at_unix(&at, sk);
	if (family != AF_INET && family != AF_INET6)
		return 0;
	tcp = bpf_skc_to_tcp_sock(sk);
	return tcp ? look_at_tcp(&at, sk, tcp) : look_at_udp(&at, sk);
}

/*
 * Threads of processes that others wait for: in which call each sleeps, and since when. The scheduler
 * notes when a thread last got a CPU; that is when it fell asleep, but for the moment that it ran.
 */
struct sched_info___arrival { u64 last_arrival; } VIEW;
struct task_struct___arrival { struct sched_info___arrival sched_info; } VIEW;

struct sleeper {
	u64 asleep_ns;
	u32 pid, tid;
	int call;
	u32 state;
};
RECORD(sleeper);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, u32);
} waited_for SEC(".maps"); /* pids; the reader puts them in */

SEC("iter/task")
int sleepers(struct task_iterator *ctx)
{
	struct task_struct___arrival *self = (void *)bpf_get_current_task();
	struct task_struct *task = ctx->task;
	struct sleeper sleeper = {};
	u64 now, then;
	u32 pid;

	if (!task)
		return 0;
	pid = task->tgid;
	sleeper.state = task->__state;
	if (!sleeper.state || !bpf_map_lookup_elem(&waited_for, &pid))
		return 0;
	now = BPF_CORE_READ(self, sched_info.last_arrival);
	then = BPF_CORE_READ((struct task_struct___arrival *)task, sched_info.last_arrival);
	sleeper.asleep_ns = now > then ? now - then : 0;
	sleeper.pid = pid;
	sleeper.tid = task->pid;
	sleeper.call = call_of(task);
	bpf_seq_write(ctx->meta->seq, &sleeper, sizeof(sleeper));
	return 0;
}
