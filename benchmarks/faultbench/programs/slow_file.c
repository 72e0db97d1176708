/*
 * A FUSE file system with one file, image, every access to which takes a while: what a slow device is made of.
 *
 *     slow_file MOUNT_POINT BACKING_FILE DELAY_US AT_ONCE
 *
 * AT_ONCE threads answer, each one request at a time. Answers take no time until SIGUSR1 comes, and DELAY_US from
 * then on; a negative delay means that no answer comes at all. From SIGUSR2 on, reads and writes fail (EIO). The protocol is that of linux/fuse.h, spoken directly.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define LARGEST (1 << 20)
#define IMAGE 2

static int channel, backing;
static long delay_us;
static volatile sig_atomic_t slow, broken;

static void become_slow(int number)
{
	(void)number;
	slow = 1;
}

static void become_broken(int number)
{
	(void)number;
	broken = 1;
}

static void wait_a_while(void)
{
	if (!slow)
		return;
	while (delay_us < 0)
		pause();
	usleep(delay_us);
}

static void answer(const struct fuse_in_header *in, int error, const void *data, size_t size)
{
	struct fuse_out_header out = {sizeof(out) + size, error, in->unique};
	struct iovec parts[] = {{&out, sizeof(out)}, {(void *)data, size}};

	if (writev(channel, parts, size ? 2 : 1) < 0 && errno != ENOENT)
		exit(0);
}

static struct fuse_attr attributes(uint64_t node)
{
	struct fuse_attr found = {.ino = node, .mode = S_IFDIR | 0755, .nlink = 2, .blksize = 4096};
	struct stat status;

	if (node == IMAGE && !fstat(backing, &status)) {
		found.mode = S_IFREG | 0600;
		found.nlink = 1;
		found.size = status.st_size;
		found.blocks = status.st_blocks;
	}
	return found;
}

static void serve(const struct fuse_in_header *in, const void *body, char *data)
{
	const struct fuse_read_in *read_in = body;
	const struct fuse_write_in *write_in = body;
	struct fuse_attr_out attr = {.attr_valid = 3600, .attr = attributes(in->nodeid)};
	struct fuse_entry_out entry = {.nodeid = IMAGE, .entry_valid = 3600, .attr_valid = 3600, .attr = attributes(IMAGE)};
	struct fuse_open_out opened = {.open_flags = FOPEN_DIRECT_IO};
	struct fuse_write_out written = {0};
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION, .minor = 31, .max_readahead = LARGEST, .max_write = LARGEST,
		.flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_MAX_PAGES,
		.max_background = 256, .congestion_threshold = 192, .max_pages = LARGEST / 4096,
	};
	ssize_t size;

	if (broken && (in->opcode == FUSE_READ || in->opcode == FUSE_WRITE || in->opcode == FUSE_FSYNC))
		return answer(in, -EIO, NULL, 0);
	switch (in->opcode) {
	case FUSE_INIT:
		return answer(in, 0, &init, sizeof(init));
	case FUSE_LOOKUP:
		return strcmp(body, "image") ? answer(in, -ENOENT, NULL, 0) : answer(in, 0, &entry, sizeof(entry));
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		return answer(in, 0, &attr, sizeof(attr));
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		return answer(in, 0, &opened, sizeof(opened));
	case FUSE_READ:
		wait_a_while();
		size = pread(backing, data, read_in->size, read_in->offset);
		return size < 0 ? answer(in, -errno, NULL, 0) : answer(in, 0, data, size);
	case FUSE_WRITE:
		wait_a_while();
		size = pwrite(backing, write_in + 1, write_in->size, write_in->offset);
		written.size = size < 0 ? 0 : size;
		return size < 0 ? answer(in, -errno, NULL, 0) : answer(in, 0, &written, sizeof(written));
	case FUSE_FSYNC:
		wait_a_while();
		return answer(in, 0, NULL, 0);
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
		return answer(in, 0, NULL, 0);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	default:
		return answer(in, -ENOSYS, NULL, 0);
	}
}

static void *serve_forever(void *unused)
{
	char *request = malloc(LARGEST + 4096), *data = malloc(LARGEST);

	(void)unused;
	for (;;) {
		if (read(channel, request, LARGEST + 4096) < 0) {
			if (errno == EINTR || errno == EAGAIN || errno == ENOENT)
				continue;
			exit(0);
		}
		serve((struct fuse_in_header *)request, request + sizeof(struct fuse_in_header), data);
	}
}

int main(int count, char **words)
{
	char options[100];
	pthread_t thread;
	int i;

	if (count != 5)
		return 2;
	delay_us = atol(words[3]);
	backing = open(words[2], O_RDWR);
	channel = open("/dev/fuse", O_RDWR);
	signal(SIGUSR1, become_slow);
	signal(SIGUSR2, become_broken);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", channel);
	if (backing < 0 || channel < 0 || mount("slow_file", words[1], "fuse.slow_file", MS_NOSUID | MS_NODEV, options))
		return 1;
	for (i = 1; i < atoi(words[4]); i++)
		pthread_create(&thread, NULL, serve_forever, NULL);
	serve_forever(NULL);
}
