/* Threads (or processes) that share one lock: lock KIND WORKERS HELD_US OUTSIDE_US, KIND: mutex, shared, yield. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static const char *kind;
static long held_us, outside_us;

static struct shared {
	pthread_mutex_t mutex;
	atomic_flag spinning;
} *shared;

/* CPU time, not the clock: who is taken off the CPU meanwhile has all the more to do. */
static void compute(long us)
{
	struct timespec now;
	int64_t end;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	end = now.tv_sec * 1000000000LL + now.tv_nsec + us * 1000;
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while (now.tv_sec * 1000000000LL + now.tv_nsec < end);
}

static void *work(void *nothing)
{
	for (;;) {
		if (!strcmp(kind, "yield")) {
			while (atomic_flag_test_and_set(&shared->spinning))
				sched_yield();
			compute(held_us);
			atomic_flag_clear(&shared->spinning);
		} else {
			pthread_mutex_lock(&shared->mutex);
			compute(held_us);
			pthread_mutex_unlock(&shared->mutex);
		}
		compute(outside_us);
	}
	return nothing;
}

int main(int count, char **words)
{
	pthread_mutexattr_t attributes;
	pthread_t thread;
	int workers;

	if (count < 5)
		return 2;
	kind = words[1];
	workers = atoi(words[2]);
	held_us = atol(words[3]);
	outside_us = atol(words[4]);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->mutex, &attributes);
	while (--workers) {
		if (strcmp(kind, "shared"))
			pthread_create(&thread, NULL, work, NULL);
		else if (!fork())
			break;
	}
	work(NULL);
}
