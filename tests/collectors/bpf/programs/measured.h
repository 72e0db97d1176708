/* What the programs of these tests share: clocks, waiting, and saying what they measured. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000LL

static inline long long clock_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline long long now(void)
{
	return clock_of(CLOCK_MONOTONIC);
}

static inline void sleep_until(long long at)
{
	struct timespec t = {at / 1000000000LL, at % 1000000000LL};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static inline void spin_until(long long at)
{
	while (now() < at)
		;
}

static inline void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity"), exit(1);
}

/* What else the machine does must not keep a program waiting whose waits are known. */
static inline void come_first(void)
{
	struct sched_param first = {.sched_priority = 1};

	if (sched_setscheduler(0, SCHED_FIFO, &first) && setpriority(PRIO_PROCESS, 0, -20))
		perror("setpriority"), exit(1);
}

/* One line of JSON: what, who, how long. */
static inline void said(const char *what, long long ns)
{
	printf("{\"what\": \"%s\", \"pid\": %d, \"tid\": %d, \"ns\": %lld}\n", what, getpid(), (int)syscall(SYS_gettid), ns);
	fflush(stdout);
}
