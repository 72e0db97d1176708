/* Makes system calls of known kinds, says how long each took, and how many quick ones were slow after all. */
#include "measured.h"
#include <sys/file.h>

#define TIMED(what, call)                        \
	do {                                     \
		long long began = now();         \
		if ((call) < 0)                  \
			perror(what), exit(1);   \
		said(what, now() - began);       \
	} while (0)

static void lock_that_is_held(const char *path)
{
	int ready[2], fd;
	char byte;

	if (pipe(ready))
		exit(1);
	if (fork() == 0) {
		fd = open(path, O_RDWR);
		flock(fd, LOCK_EX);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		sleep_until(now() + 40 * MS);
		_exit(0);
	}
	if (read(ready[0], &byte, 1) != 1)
		exit(1);
	fd = open(path, O_RDWR);
	TIMED("flock", flock(fd, LOCK_EX));
	wait(NULL);
}

static void pipe_that_is_empty(void)
{
	int ends[2];
	char byte;

	if (pipe(ends))
		exit(1);
	if (fork() == 0) {
		sleep_until(now() + 30 * MS);
		_exit(write(ends[1], "x", 1) != 1);
	}
	TIMED("read", read(ends[0], &byte, 1));
	wait(NULL);
}

static void quick_calls(long long how_long)
{
	long long end = now() + how_long, slow = 0, calls = 0, began, ended;

	for (ended = now(); ended < end;) {
		began = now();
		syscall(SYS_getppid);
		ended = now();
		slow += ended - began >= 10 * MS;
		calls++;
		if (calls % 64 == 0)
			spin_until(ended + MS); /* so that ticks and preemptions meet user code too */
	}
	said("getppid", slow);
}

int main(int argc, char **argv)
{
	struct timespec t = {0, 25 * MS};
	char *random, *blocks;
	int fd;

	if (argc != 3)
		return 2;
	if (atoi(argv[2]) < 0)
		come_first();
	else
		pin(atoi(argv[2]));
	lock_that_is_held(argv[1]);
	pipe_that_is_empty();
	TIMED("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL));
	blocks = malloc(1 << 20);
	memset(blocks, 7, 1 << 20);
	fd = open(argv[1], O_RDWR);
	if (write(fd, blocks, 1 << 20) != 1 << 20)
		return 1;
	TIMED("fsync", fsync(fd));
	random = malloc(48 << 20);
	memset(random, 1, 48 << 20);
	TIMED("getrandom", syscall(SYS_getrandom, random, 48 << 20, 0));
	if (atoi(argv[2]) >= 0)
		quick_calls(1000 * MS);
	return 0;
}
