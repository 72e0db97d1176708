/*
 * Does one thing many times on one CPU and prints the nanoseconds that each took:
 * workload {syscall|switch|socket|fault|timer|read} PARTS TIMES CPU [FILE]
 *
 * The work is done in PARTS of TIMES each, and the quickest part counts: one that nothing else
 * disturbed. It is CPU time, but for reads past the page cache, which wait for their device; of
 * those, the first quartile counts.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define BLOCKS 1024

static int there[2], back[2], file, times;
static clockid_t other_clock;
static char *pages;
static int *timers;

static double clock_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* CPU time of this process and of the one that it plays with: what else runs on the CPU does not count. */
static double cpu_time(void)
{
	return clock_of(CLOCK_PROCESS_CPUTIME_ID) + (other_clock ? clock_of(other_clock) : 0);
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void calls(void)
{
	for (int i = 0; i < times; i++)
		syscall(SYS_getppid);
}

/* Another process that sends every byte back, until there are no more. */
static void start_other(void)
{
	char byte;
	pid_t other = fork();

	if (other == 0) {
		close(there[1]);
		close(back[0]);
		while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
			;
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	if (clock_getcpuclockid(other, &other_clock))
		fail("clock_getcpuclockid");
}

static void start_switches(void)
{
	if (pipe(there) || pipe(back))
		fail("pipe");
	start_other();
}

/* The same over a connection of TCP, with a server that listens. */
static void start_sockets(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), on = 1, server;
	socklen_t size = sizeof(at);

	if (bind(listener, (void *)&at, size) || listen(listener, 1) || getsockname(listener, (void *)&at, &size) ||
	    connect(client, (void *)&at, size) || (server = accept(listener, NULL, NULL)) < 0)
		fail("a connection on loopback");
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	there[0] = server;
	there[1] = client;
	back[0] = dup(client);
	back[1] = dup(server);
	start_other();
}

/* One byte to and fro: two switches, and on each side a write and a read. */
static void switches(void)
{
	char byte = 0;

	for (int i = 0; i < times; i += 2)
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			fail("ping-pong");
}

/* There and back: two calls on each side. */
static void sockets(void)
{
	char byte = 0;

	for (int i = 0; i < times; i += 4)
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			fail("ping-pong");
}

static void start_faults(void)
{
	pages = mmap(NULL, (size_t)times * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || madvise(pages, (size_t)times * PAGE, MADV_NOHUGEPAGE))
		fail("mmap");
}

static void faults(void)
{
	for (int i = 0; i < times; i++)
		pages[(size_t)i * PAGE] = 1;
}

static void start_timers(void)
{
	struct rlimit many = {times + 64, times + 64};
	struct sched_param first = {.sched_priority = 1};

	/* The interrupt must not hit another one, who would pay for it. */
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		fail("sched_setscheduler");
	timers = calloc(times, sizeof(*timers));
	if (setrlimit(RLIMIT_NOFILE, &many))
		fail("setrlimit");
	for (int i = 0; i < times; i++)
		if ((timers[i] = timerfd_create(CLOCK_MONOTONIC, 0)) < 0)
			fail("timerfd_create");
}

/* All go off together in a while, so that what counts is not the interrupt but each timer. */
static void arm_timers(void)
{
	long long then = clock_of(CLOCK_MONOTONIC) + 1000000 + times * 500LL;
	struct itimerspec at = {.it_value = {then / 1000000000, then % 1000000000}};

	for (int i = 0; i < times; i++)
		if (timerfd_settime(timers[i], TFD_TIMER_ABSTIME, &at, NULL))
			fail("timerfd_settime");
}

/* Counts until they have gone off and longer: always as far, so that what they take is added to it. */
static void count(void)
{
	for (volatile long i = 0; i < times * 2000L; i++)
		;
}

static void start_reads(const char *path)
{
	void *block;

	file = open(path, O_RDONLY | O_DIRECT);
	if (file < 0 || posix_memalign(&block, PAGE, PAGE))
		fail(path);
	pages = block;
}

static int by_size(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return difference < 0 ? -1 : difference > 0;
}

static double reads(void)
{
	double *took = calloc(times, sizeof(*took)), began, quartile;

	for (int i = 0; i < times; i++) {
		began = clock_of(CLOCK_MONOTONIC);
		if (pread(file, pages, PAGE, (off_t)(i % BLOCKS) * PAGE) != PAGE)
			fail("pread");
		took[i] = clock_of(CLOCK_MONOTONIC) - began;
	}
	qsort(took, times, sizeof(*took), by_size);
	quartile = took[times / 4];
	free(took);
	return quartile;
}

int main(int argc, char **argv)
{
	const char *work = argc > 4 ? argv[1] : "";
	double least = 0, took;
	cpu_set_t set;
	int parts;

	if (argc < 5 || (parts = atoi(argv[2])) < 1 || (times = atoi(argv[3])) < 2)
		return 2;
	CPU_ZERO(&set);
	CPU_SET(atoi(argv[4]), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
	if (!strcmp(work, "switch"))
		start_switches();
	else if (!strcmp(work, "socket"))
		start_sockets();
	else if (!strcmp(work, "timer"))
		start_timers();
	else if (!strcmp(work, "read") && argc > 5)
		start_reads(argv[5]);
	for (int part = 0; part <= parts; part++) { /* the first one warms up */
		double began;

		if (!strcmp(work, "fault"))
			start_faults();
		else if (!strcmp(work, "timer"))
			arm_timers();
		began = cpu_time();
		if (!strcmp(work, "syscall"))
			calls();
		else if (!strcmp(work, "switch"))
			switches();
		else if (!strcmp(work, "socket"))
			sockets();
		else if (!strcmp(work, "fault"))
			faults();
		else if (!strcmp(work, "timer"))
			count();
		else if (strcmp(work, "read") || argc < 6)
			return 2;
		took = strcmp(work, "read") ? (cpu_time() - began) / times : reads();
		if (part && (!least || took < least))
			least = took;
		if (!strcmp(work, "fault"))
			munmap(pages, (size_t)times * PAGE);
	}
	printf("%.1f\n", least);
	return 0;
}
