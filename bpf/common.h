/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What all programs share: types, helpers, and our few views of the kernel's structures.
 *
 * The views hold only the members that we read; CO-RE finds where the running kernel keeps them.
 * A tracer that needs more of a structure adds the member here.
 */
#ifndef KERNELSIGHT_COMMON_H
#define KERNELSIGHT_COMMON_H

#include <stdbool.h>

#include "uapi.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

typedef __u8 u8;
typedef __s8 s8;
typedef __u16 u16;
typedef __s16 s16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;

#define COMM_LEN 16
#define MAX_CPUS 1024

/* A program attached by BTF gets its arguments as an array of 64-bit words; this names them. */
#define BPF_ARG(type, name, index) type name = (type)ctx[index]

#define VIEW __attribute__((preserve_access_index))

/*
 * Describes a structure in the object, where its reader finds the members by name. Those of maps are
 * described anyway; those that only a ring buffer or an iterator carries are named so.
 */
#define RECORD(name) struct name *record_##name

#define add(target, amount) __sync_fetch_and_add(&(target), (amount))

#include "kernel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The reader comes once a second anyway; it is woken for a ring that fills up before. */
static __always_inline u64 wakeup_if_filling(void *ring, u64 size)
{
	return bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) > size / 4 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

#endif
