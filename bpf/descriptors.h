/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How many descriptors a process has open, and how many of them are sockets. */
#ifndef KERNELSIGHT_DESCRIPTORS_H
#define KERNELSIGHT_DESCRIPTORS_H

#include "common.h"

#define UNKNOWN (~0ULL)
#define WORD 64
#define WORDS 1024 /* of a descriptor bitmap: 65,536 descriptors; more are not counted but unknown */
#define SOCKET_WORDS 64 /* of a process with more descriptors than that, sockets are not counted */

#define S_IFMT 0170000
#define S_IFSOCK 0140000

struct inode { u16 i_mode; } VIEW;
struct file { struct inode *f_inode; } VIEW;
struct fdtable { unsigned int max_fds; struct file **fd; unsigned long *open_fds; } VIEW;
struct files_struct { struct fdtable *fdt; } VIEW;

struct file *files_of_word[WORD]; /* one reader at a time: the collector */

struct descriptors {
	unsigned long *bitmap;
	struct file **files;
	u64 word; /* of the bitmap, the one that is looked at */
	u64 sockets;
};

static __always_inline u64 ones(u64 word)
{
	word -= (word >> 1) & 0x5555555555555555;
	word = (word & 0x3333333333333333) + ((word >> 2) & 0x3333333333333333);
	return (((word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f) * 0x0101010101010101) >> 56;
}

static __always_inline u64 count_descriptors(struct files_struct *files)
{
	struct fdtable *table = files->fdt;
	unsigned long *bitmap = table->open_fds;
	u32 words = table->max_fds / WORD;
	u64 word, count = 0;

	for (u32 i = 0; i < WORDS; i++) {
		if (i >= words)
			return count;
		if (bpf_probe_read_kernel(&word, sizeof(word), bitmap + i))
			return UNKNOWN;
		count += ones(word);
	}
	return words > WORDS ? UNKNOWN : count;
}

/* A loop of the kernel's, not of the program's: the verifier of 6.1 would go through all that a word can be. */
static long count_socket(u32 bit, struct descriptors *d)
{
	u64 rest = d->word >> (bit & (WORD - 1));

	if (!rest)
		return 1;
	if (rest & 1 && (BPF_CORE_READ(files_of_word[bit & (WORD - 1)], f_inode, i_mode) & S_IFMT) == S_IFSOCK)
		d->sockets++;
	return 0;
}

static long count_sockets_of_word(u32 index, struct descriptors *d)
{
	if (bpf_probe_read_kernel(&d->word, sizeof(d->word), d->bitmap + index) || !d->word)
		return 0;
	if (bpf_probe_read_kernel(files_of_word, sizeof(files_of_word), d->files + index * WORD))
		return 0;
	bpf_loop(WORD, count_socket, d, 0);
	return 0;
}

/* Kernels from 5.17 on; others lack the loop. */
static __always_inline u64 count_sockets(struct files_struct *files)
{
	struct fdtable *table = files->fdt;
	struct descriptors d = {.bitmap = table->open_fds, .files = table->fd};
	u32 words = table->max_fds / WORD;

	if (words > SOCKET_WORDS || !bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop))
		return UNKNOWN;
	bpf_loop(words, count_sockets_of_word, &d, 0);
	return d.sockets;
}

#endif
