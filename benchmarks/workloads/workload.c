/*
 * Does one thing many times on one CPU and prints the nanoseconds that each took,
 * of CPU time, or for reads past the page cache in all:
 * workload {syscall|switch|fault|read} TIMES CPU [FILE]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double clock_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* CPU time of this process and its children: what else runs on the CPU does not count. */
static double cpu_time(void)
{
	struct rusage children;

	getrusage(RUSAGE_CHILDREN, &children);
	return clock_of(CLOCK_PROCESS_CPUTIME_ID) + (children.ru_utime.tv_sec + children.ru_stime.tv_sec) * 1e9 +
	       (children.ru_utime.tv_usec + children.ru_stime.tv_usec) * 1e3;
}

static int waits_for_device;

static double now(void)
{
	return waits_for_device ? clock_of(CLOCK_MONOTONIC) : cpu_time();
}

static void calls(long times)
{
	while (times--)
		syscall(SYS_getppid);
}

/* One byte to and fro: two switches, and on each side a write and a read. */
static void switches(long times)
{
	int there[2], back[2];
	char byte = 0;

	if (pipe(there) || pipe(back))
		exit(1);
	if (fork() == 0) {
		while (times-- && read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
			;
		_exit(0);
	}
	while (times-- && write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1)
		;
	wait(NULL);
}

static void faults(long times)
{
	char *pages = mmap(NULL, times * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		exit(1);
	madvise(pages, times * 4096, MADV_NOHUGEPAGE);
	for (long i = 0; i < times; i++)
		pages[i * 4096] = 1;
	munmap(pages, times * 4096);
}

static void reads(long times, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECT);
	void *block;

	if (fd < 0 || posix_memalign(&block, 4096, 4096))
		exit(1);
	for (long i = 0; i < times; i++)
		if (pread(fd, block, 4096, (i % 1024) * 4096) != 4096)
			exit(1);
}

int main(int argc, char **argv)
{
	long times = argc > 3 ? atol(argv[2]) : 0;
	double per, began;
	cpu_set_t set;

	if (times < 1)
		return 2;
	waits_for_device = !strcmp(argv[1], "read");
	CPU_ZERO(&set);
	CPU_SET(atoi(argv[3]), &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (int warm = 1; warm >= 0; warm--) {
		long n = warm ? times / 10 + 1 : times;

		began = now();
		if (!strcmp(argv[1], "syscall"))
			calls(n);
		else if (!strcmp(argv[1], "switch"))
			switches(n);
		else if (!strcmp(argv[1], "fault"))
			faults(n);
		else if (!strcmp(argv[1], "read") && argc > 4)
			reads(n, argv[4]);
		else
			return 2;
		per = (now() - began) / n;
	}
	printf("%.1f\n", strcmp(argv[1], "switch") ? per : per / 2);
	return 0;
}
