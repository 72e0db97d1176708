/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which system call a thread is in, by the registers that it came into the kernel with. */
#ifndef KERNELSIGHT_CALLS_H
#define KERNELSIGHT_CALLS_H

#include "common.h"

enum { IN_NOTHING = -1, IN_PAGE_FAULT = -2 };
#define COMPAT_CALL 0x10000 /* added to the number of a 32-bit program's call, which counts otherwise */

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long di, si, dx, r10, ax, orig_ax;
} VIEW;
#define ARG0(regs) ((regs)->di)
#define ARG1(regs) ((regs)->si)
#define ARG2(regs) ((regs)->dx)
#define ARG3(regs) ((regs)->r10)
#define CALL_NUMBER(regs) ((int)(regs)->orig_ax)
/* The entry code puts -ENOSYS there; the result replaces it before the way back to the program. */
#define CALL_GOES_ON(regs) ((long)(regs)->ax == -38)
#define RETURN_IS_TOLD true
#define IS_COMPAT(task) ((task)->thread_info.status & 2) /* TS_COMPAT */
#else
struct pt_regs {
	u64 regs[31];
	u64 orig_x0;
	s32 syscallno;
} VIEW;
#define ARG0(regs) ((regs)->orig_x0)
#define ARG1(regs) ((regs)->regs[1])
#define ARG2(regs) ((regs)->regs[2])
#define ARG3(regs) ((regs)->regs[3])
#define CALL_NUMBER(regs) ((int)(regs)->syscallno)
/*
 * The result replaces the first argument. One that is equal to it looks like a call that goes on, and
 * most preemptions come on the way back to the program; so only a thread that sleeps is in a call for sure.
 */
#define CALL_GOES_ON(regs) ((regs)->regs[0] == (regs)->orig_x0)
#define RETURN_IS_TOLD false
#define IS_COMPAT(task) ((task)->thread_info.flags & (1 << 22)) /* TIF_32BIT */
#endif

/* The system call that a thread of a program is in, IN_NOTHING, or IN_PAGE_FAULT for any other exception. */
static __always_inline int call_of(struct task_struct *task)
{
	struct pt_regs *regs;
	int number;

	if (task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER))
		return IN_NOTHING;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (!regs)
		return IN_NOTHING;
	number = CALL_NUMBER(regs);
	if (number < 0)
		return IN_PAGE_FAULT;
	if (!CALL_GOES_ON(regs))
		return IN_NOTHING;
	return IS_COMPAT(task) ? number + COMPAT_CALL : number;
}

#endif
