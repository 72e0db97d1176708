/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Timer interrupts that a program saw; the kernel counts all of them in /proc/interrupts. */
#include "common.h"

u64 ticks;

SEC("tp_btf/local_timer_entry")
int on_tick(u64 *ctx)
{
	add(ticks, 1);
	return 0;
}
