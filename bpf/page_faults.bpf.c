/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Page faults: how long those took that were slow or are sampled, and how many every process had.
 *
 * The beginning of a fault is seen by the tracepoints of exceptions, fentry, a kprobe or a perf event,
 * its end by fexit or by the perf events that the kernel raises where it counts the fault: whichever of
 * them the kernel allows. The lock of the address space is waited for before handle_mm_fault, so that
 * fentry and the kprobe do not see that wait.
 */
#include "fault_counts.h"
#include "faulting.h"

/* enum vm_fault_reason, whose numbers have not changed since 5.9. */
#define VM_FAULT_MAJOR 0x4
#define VM_FAULT_RETRY 0x400
#define VM_FAULT_ERROR 0x873

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long si, dx, cx;
} VIEW;
#define ARG1(r) ((r)->si)
#define ARG2(r) ((r)->dx)
#define ARG3(r) ((r)->cx)
#define REGISTERS 21
#define IN_USER_MODE(registers) ((registers)[17] & 3) /* cs */
#define WRITES(code) ((code) & 0x2)
#define FETCHES(code) ((code) & 0x10)
#else
struct pt_regs {
	u64 regs[31];
} VIEW;
#define ARG1(r) ((r)->regs[1])
#define ARG2(r) ((r)->regs[2])
#define ARG3(r) ((r)->regs[3])
#define REGISTERS 34
#define IN_USER_MODE(registers) (!((registers)[33] & 0xf)) /* pstate */
#define WRITES(code) (((code) & 0x140) == 0x40)		   /* ESR_ELx_WNR, but no cache maintenance */
#define FETCHES(code) (((code) >> 26 & 0x3e) == 0x20)	   /* an instruction abort */
#endif

/* The context of a program on a perf event; the kernel's uapi, by architecture. */
struct bpf_perf_event_data {
	u64 registers[REGISTERS], sample_period, address;
};

/* Faults without registers are taken on behalf of the kernel (get_user_pages); no other hook sees them. */
SEC("fentry/handle_mm_fault")
int begin_fentry(u64 *ctx)
{
	return ctx[3] ? begin(ctx[1], ctx[2]) : 0;
}

SEC("fexit/handle_mm_fault")
int end_fexit(u64 *ctx)
{
	u32 result = ctx[4];

	if (!ctx[3] || result & (VM_FAULT_RETRY | VM_FAULT_ERROR))
		return 0;
	return end(result & VM_FAULT_MAJOR || ctx[2] & FAULT_FLAG_TRIED);
}

SEC("kprobe/handle_mm_fault")
int begin_kprobe(struct pt_regs *ctx)
{
	return ARG3(ctx) ? begin(ARG1(ctx), ARG2(ctx)) : 0;
}

static __always_inline u32 flags_of(u64 code)
{
	return FETCHES(code) ? FAULT_FLAG_INSTRUCTION : WRITES(code) ? FAULT_FLAG_WRITE : 0;
}

SEC("tp_btf/page_fault_user")
int begin_user(u64 *ctx)
{
	return begin(ctx[0], flags_of(ctx[2]) | FAULT_FLAG_USER);
}

SEC("tp_btf/page_fault_kernel")
int begin_kernel(u64 *ctx)
{
	struct task_struct___faults *task = (void *)bpf_get_current_task_btf();

	/* A look at memory that may not wait, such as a stack trace's in the middle of another fault. */
	if ((s64)ctx[0] < 0 || task->pagefault_disabled)
		return 0;
	return begin(ctx[0], flags_of(ctx[2]));
}

/* PERF_COUNT_SW_PAGE_FAULTS is raised before, _MIN and _MAJ after the fault is handled. */
SEC("perf_event")
int begin_perf(struct bpf_perf_event_data *ctx)
{
	return begin(ctx->address, ACCESS_UNKNOWN | (IN_USER_MODE(ctx->registers) ? FAULT_FLAG_USER : 0));
}

SEC("perf_event")
int end_minor(void *ctx)
{
	return end(false);
}

SEC("perf_event")
int end_major(void *ctx)
{
	return end(true);
}
