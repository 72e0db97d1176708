/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The same three hooks by functions, for kernels before 6.3, which lack the tracepoints (40e0b0908142,
 * 6e6eda44b939). Part of services.bpf.c; loaded where the kernel has these functions and lets programs in.
 */
SEC("fentry/sock_def_readable")
int arrival(u64 *ctx)
{
	return arrives((struct sock *)ctx[0]);
}

/* (socket, message, size, flags), and the result */
#define READ_BY(function)                                             \
	SEC("fexit/" #function)                                       \
	int read_##function(u64 *ctx)                                 \
	{                                                             \
		BPF_ARG(struct socket *, socket, 0);                  \
		struct sock *sk = socket->sk;                         \
                                                                      \
		return sk ? reads(sk, ctx[4], ctx[3]) : 0;            \
	}

/* (socket, message, size), and the result */
#define SENT_BY(function, result)                                     \
	SEC("fexit/" #function)                                       \
	int sent_##function(u64 *ctx)                                 \
	{                                                             \
		BPF_ARG(struct socket *, socket, 0);                  \
		struct sock *sk = socket->sk;                         \
                                                                      \
		return sk ? sends(sk, ctx[result]) : 0;               \
	}

READ_BY(inet_recvmsg)
READ_BY(inet6_recvmsg)
READ_BY(unix_stream_recvmsg)
SENT_BY(inet_sendmsg, 3)
SENT_BY(inet6_sendmsg, 3)
SENT_BY(unix_stream_sendmsg, 3)
SENT_BY(inet_sendpage, 5) /* sendfile(2): (socket, page, offset, size, flags) */
