/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * On which file system the file of a system call is, as far as its arguments tell.
 *
 * A descriptor tells it, and so does a plain name in the working directory or in that of a descriptor.
 * Any other path leads through the mounts of a namespace, which is not followed here: UNKNOWN_DEVICE.
 */
#ifndef KERNELSIGHT_FILE_PLACE_H
#define KERNELSIGHT_FILE_PLACE_H

#include "threads.h"

#define UNKNOWN_DEVICE (~0U)
#define AT_FDCWD (-100)
#define LONGEST_NAME 64 /* of a plain name; one that is longer is not looked through */

struct super_block { u32 s_dev; } VIEW;
struct inode { struct super_block *i_sb; } VIEW;
struct file { struct inode *f_inode; } VIEW;
struct fdtable { unsigned int max_fds; struct file **fd; } VIEW;
struct files_struct { struct fdtable *fdt; } VIEW;
struct dentry { struct super_block *d_sb; } VIEW;
struct path { struct dentry *dentry; } VIEW;
struct fs_struct { struct path pwd; } VIEW;
struct task_struct___files { struct files_struct *files; struct fs_struct *fs; } VIEW;

/*
 * By call: 16 times the number of the argument (from 1) that is a descriptor, and the number of the one
 * that is a path; 0: none. A path alone begins in the working directory.
 */
const volatile u8 call_places[MAX_CALLS];

static __always_inline u64 argument(struct pt_regs *regs, u32 number)
{
	switch (number) {
	case 1:
		return ARG0(regs);
	case 2:
		return ARG1(regs);
	case 3:
		return ARG2(regs);
	default:
		return ARG3(regs);
	}
}

static __always_inline u32 device_of_descriptor(struct task_struct___files *task, u32 descriptor)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file *file = 0;

	if (!table || descriptor >= BPF_CORE_READ(table, max_fds))
		return UNKNOWN_DEVICE;
	if (bpf_probe_read_kernel(&file, sizeof(file), BPF_CORE_READ(table, fd) + descriptor) || !file)
		return UNKNOWN_DEVICE;
	return BPF_CORE_READ(file, f_inode, i_sb, s_dev);
}

static __always_inline bool is_plain_name(const void *path)
{
	char name[LONGEST_NAME];
	long length = bpf_probe_read_user_str(name, sizeof(name), path);

	if (length < 2 || length >= LONGEST_NAME)
		return false;
	for (u32 i = 0; i < LONGEST_NAME; i++) {
		if (i >= length || !name[i])
			return true;
		if (name[i] == '/')
			return false;
	}
	return false;
}

static __noinline u32 device_of_call(struct pt_regs *regs, int call)
{
	struct task_struct___files *task = (void *)bpf_get_current_task();
	u64 index = (u32)call;
	int descriptor = AT_FDCWD;
	u8 place;

	if (!regs || index >= MAX_CALLS)
		return UNKNOWN_DEVICE;
	hide(index);
	place = call_places[index & (MAX_CALLS - 1)];
	if (!place)
		return UNKNOWN_DEVICE;
	if (place & 15 && !is_plain_name((void *)argument(regs, place & 15)))
		return UNKNOWN_DEVICE;
	if (place >> 4)
		descriptor = (int)argument(regs, place >> 4);
	if (descriptor == AT_FDCWD && place & 15)
		return BPF_CORE_READ(task, fs, pwd.dentry, d_sb, s_dev);
	return device_of_descriptor(task, descriptor);
}

#endif
