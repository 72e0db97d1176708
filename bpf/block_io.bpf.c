/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests of block devices: exact counts and bytes, and histograms of how long they took.
 *
 * Nothing is ever cleared here: the reader takes differences, so that no count falls between two reads.
 */
#include "histogram.h"

#define UNIT 5
#define STEPS 5
#define BUCKETS 992 /* of 1/32 octave, from 32 ns to 18 minutes */
#define NAME_LEN 32

enum { READ, WRITE, DIRECTIONS };
enum { TOTAL, QUEUE, DEVICE, PARTS }; /* from insertion to completion, to issue, from there to completion */
enum { OP_READ = 0, OP_FLUSH = 2, OP_DISCARD = 3, OP_SECURE_ERASE = 5, OP_DRIVER = 32, OP_MASK = 0xff };

struct gendisk {
	int major, first_minor;
	char disk_name[NAME_LEN];
} VIEW;
struct request_queue {
	struct gendisk *disk; /* since d152c682f03c, 5.15 */
} VIEW;
struct request {
	struct request_queue *q;
	unsigned int cmd_flags, __data_len;
} VIEW;
struct request___5_16 {
	struct gendisk *rq_disk; /* until f3fa33acca9f, 5.17 */
} VIEW;

struct flight {
	u64 inserted, issued;
};

struct longest {
	u64 interval, ns;
};

struct device {
	char name[NAME_LEN];
	union {
		struct { u64 count[DIRECTIONS], bytes[DIRECTIONS]; };
		struct { u64 read_count, write_count, read_bytes, write_bytes; };
	};
	u64 discard_count, discard_bytes, flush_count, errors;
	u64 queue_ns, device_ns;
	struct longest longest[2][DIRECTIONS]; /* of even and of odd intervals */
	u32 histogram[DIRECTIONS][PARTS][BUCKETS];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH); /* what a driver never completes makes room by itself */
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct flight);
} flights SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u32);
} slots SEC(".maps"); /* device number to index of `devices` */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct device);
} devices SEC(".maps");

u64 interval; /* counted up by the reader */
u32 used;     /* slots given away */
u64 unknown;  /* requests whose beginning was not seen: they are counted, but not timed */
u64 unplaced; /* requests of devices for which there was no slot */

static __always_inline struct gendisk *disk_of(struct request *rq)
{
	struct request___5_16 *old = (void *)rq;

	if (bpf_core_field_exists(old->rq_disk))
		return BPF_CORE_READ(old, rq_disk);
	return BPF_CORE_READ(rq, q, disk);
}

static __always_inline struct device *device_of(struct gendisk *disk)
{
	u32 number = BPF_CORE_READ(disk, major) << 20 | BPF_CORE_READ(disk, first_minor);
	u32 *slot = bpf_map_lookup_elem(&slots, &number);
	struct device *device;
	u32 next;

	if (slot)
		return bpf_map_lookup_elem(&devices, slot);
	next = __sync_fetch_and_add(&used, 1);
	device = bpf_map_lookup_elem(&devices, &next);
	if (!device) {
		__sync_fetch_and_sub(&used, 1);
		return NULL;
	}
	BPF_CORE_READ_STR_INTO(&device->name, disk, disk_name);
	if (!bpf_map_update_elem(&slots, &number, &next, BPF_NOEXIST))
		return device;
	device->name[0] = 0; /* another CPU was first; this slot stays empty */
	slot = bpf_map_lookup_elem(&slots, &number);
	return slot ? bpf_map_lookup_elem(&devices, slot) : NULL;
}

static __always_inline void record(struct device *device, u32 direction, u32 part, u64 ns)
{
	u32 bucket = bucket_of(ns, UNIT, STEPS, BUCKETS);

	if (bucket < BUCKETS)
		add(device->histogram[direction & 1][part][bucket], 1);
}

static __always_inline void time_request(struct device *device, u32 direction, u64 key)
{
	struct flight *flight = bpf_map_lookup_elem(&flights, &key);
	u64 now = bpf_ktime_get_ns(), total, queue;
	struct longest *longest;

	if (!flight || !flight->issued) {
		add(unknown, 1);
		return;
	}
	total = now - flight->inserted;
	queue = flight->issued - flight->inserted;
	record(device, direction, TOTAL, total);
	record(device, direction, QUEUE, queue);
	record(device, direction, DEVICE, total - queue);
	add(device->queue_ns, queue);
	add(device->device_ns, total - queue);
	longest = &device->longest[interval & 1][direction & 1];
	if (longest->interval != interval || total > longest->ns) { /* not atomic: held against the histogram */
		longest->interval = interval;
		longest->ns = total;
	}
}

SEC("tp_btf/block_rq_insert")
int inserted(u64 *ctx)
{
	BPF_ARG(u64, key, 0);
	struct flight flight = { .inserted = bpf_ktime_get_ns() };

	bpf_map_update_elem(&flights, &key, &flight, BPF_ANY);
	return 0;
}

SEC("tp_btf/block_rq_issue")
int issued(u64 *ctx)
{
	BPF_ARG(u64, key, 0);
	struct flight *known = bpf_map_lookup_elem(&flights, &key), flight;

	flight.inserted = flight.issued = bpf_ktime_get_ns();
	if (known && !known->issued)
		known->issued = flight.issued;
	else /* issued directly, without a queue; an old flight's end was never told */
		bpf_map_update_elem(&flights, &key, &flight, BPF_ANY);
	return 0;
}

SEC("tp_btf/block_rq_requeue")
int requeued(u64 *ctx)
{
	BPF_ARG(u64, key, 0);
	struct flight *flight = bpf_map_lookup_elem(&flights, &key);

	if (flight)
		flight->issued = 0; /* it waits again, and began when it did */
	return 0;
}

SEC("tp_btf/block_rq_merge")
int merged(u64 *ctx)
{
	BPF_ARG(u64, key, 0);

	bpf_map_delete_elem(&flights, &key); /* it has become part of another request */
	return 0;
}

SEC("tp_btf/block_rq_complete")
int completed(u64 *ctx)
{
	BPF_ARG(struct request *, rq, 0);
	u64 key = ctx[0];
	BPF_ARG(u32, error, 1);
	BPF_ARG(u32, bytes, 2);
	u32 op = BPF_CORE_READ(rq, cmd_flags) & OP_MASK, direction = op & 1;
	bool last = bytes >= BPF_CORE_READ(rq, __data_len); /* what is still to do, before this part of it */
	struct gendisk *disk = disk_of(rq);
	struct device *device;

	if (op >= OP_DRIVER || !disk)
		goto done; /* commands that carry no one's data, as in /sys/block/DEVICE/stat */
	device = device_of(disk);
	if (!device) {
		add(unplaced, last);
		goto done;
	}
	if (op == OP_FLUSH) {
		add(device->flush_count, last);
	} else if (op == OP_DISCARD || op == OP_SECURE_ERASE) {
		add(device->discard_count, last);
		add(device->discard_bytes, bytes);
	} else if (bytes) { /* a write of nothing only waits for the flush that it asked for */
		add(device->bytes[direction], bytes);
		add(device->count[direction], last);
		if (last)
			time_request(device, direction, key);
	}
	if ((u8)error)
		add(device->errors, 1);
done:
	if (last)
		bpf_map_delete_elem(&flights, &key);
	return 0;
}
