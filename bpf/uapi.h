/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What we use of the kernel's interface to BPF programs (include/uapi/linux/bpf.h), by its own numbers.
 *
 * Written here, so that the objects depend on the sources, clang and libbpf's headers alone: the
 * building machine's copy of that file gets new members with every release, and all enums end up in
 * the objects' type information.
 */
#ifndef KERNELSIGHT_UAPI_H
#define KERNELSIGHT_UAPI_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef signed short __s16;
typedef unsigned int __u32;
typedef signed int __s32;
typedef unsigned long long __u64;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

/* Looked up in the running kernel's BTF, where the value may be missing. */
enum bpf_func_id {
	BPF_FUNC_loop = 181,
	BPF_FUNC_map_lookup_percpu_elem = 195,
};

enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_EXIST = 2 };
enum { BPF_F_NO_PREALLOC = 1U << 0, BPF_F_CURRENT_CPU = 0xffffffffULL };
enum { BPF_LOCAL_STORAGE_GET_F_CREATE = 1U << 0 };
enum { BPF_RB_NO_WAKEUP = 1U << 0, BPF_RB_FORCE_WAKEUP = 1U << 1 };
enum { BPF_RB_AVAIL_DATA = 0 };

#endif
