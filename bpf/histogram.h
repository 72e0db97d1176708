/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Log-linear histograms of nanoseconds, as collectors/bpf/histogram.py reads them. */
#ifndef KERNELSIGHT_HISTOGRAM_H
#define KERNELSIGHT_HISTOGRAM_H

#include "common.h"

static __always_inline u32 log2_of(u64 v)
{
	u32 log = 0;

	if (v >> 32) { v >>= 32; log += 32; }
	if (v >> 16) { v >>= 16; log += 16; }
	if (v >> 8) { v >>= 8; log += 8; }
	if (v >> 4) { v >>= 4; log += 4; }
	if (v >> 2) { v >>= 2; log += 2; }
	return log + (v >> 1);
}

/*
 * The first 2^steps buckets are 2^unit ns wide; then each octave has 2^steps of its own. No value beyond
 * the linear ones is further from its bucket's middle than 1 / 2^(steps + 1) of itself.
 */
static __always_inline u32 bucket_of(u64 ns, u32 unit, u32 steps, u32 buckets)
{
	u64 v = ns >> unit;
	u32 log, bucket;

	if (v < 1U << steps)
		return v;
	log = log2_of(v);
	bucket = ((log - steps + 1) << steps) + ((v >> (log - steps)) & ((1U << steps) - 1));
	return bucket < buckets ? bucket : buckets - 1;
}

#endif
