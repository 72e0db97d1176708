/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Structures with one of everything that a record may have; test_layout.py describes them again, for ctypes. */
#include "common.h"

struct inner {
	u16 first;
	u64 second;
};

struct everything {
	u8 small;
	s64 negative;
	u16 padding;
	struct inner inner;
	union {
		u64 words[2];
		struct { u32 low, high; };
	};
	char text[5];
	u8 bytes[3];
	bool flag;
	int number;
	struct inner several[2];
	u64 unsigned_one;
	u32 unused;
};

struct packed_bits {
	u32 whole;
	u32 three : 3, five : 5;
};

struct everything everything;
struct packed_bits packed_bits;
