/* Threads that want a lock in one function, while the thread that has it sleeps in another: lock_sites SECONDS KIND */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t of_work = PTHREAD_MUTEX_INITIALIZER;
static volatile int orders;

static void pause_ms(long ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

__attribute__((noinline)) void take_order(void)
{
	pthread_mutex_lock(&mutex);
	orders++;
	pthread_mutex_unlock(&mutex);
}

__attribute__((noinline)) void flush_log(void)
{
	pthread_mutex_lock(&mutex);
	pause_ms(300);
	orders++;
	pthread_mutex_unlock(&mutex);
}

static void *orderer(void *nothing)
{
	for (;;) {
		take_order();
		pause_ms(1);
	}
	return nothing;
}

static void *logger(void *nothing)
{
	printf("{\"what\": \"holder\", \"ns\": %ld}\n", syscall(SYS_gettid));
	fflush(stdout);
	for (;;) {
		flush_log();
		pause_ms(1);
	}
	return nothing;
}

/* A member of a pool that has nothing to do waits for a futex, too, and for no lock. */
static void *idle(void *nothing)
{
	pthread_mutex_lock(&of_work);
	for (;;)
		pthread_cond_wait(&work, &of_work);
	return nothing;
}

int main(int count, char **words)
{
	pthread_mutexattr_t attributes;
	pthread_t thread;
	int i, pool = count > 2 && !strcmp(words[2], "pool");

	pthread_mutexattr_init(&attributes);
	if (count > 2 && !strcmp(words[2], "inherit"))
		pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&mutex, &attributes);
	if (!pool)
		pthread_create(&thread, NULL, logger, NULL);
	for (i = 0; i < 4; i++)
		pthread_create(&thread, NULL, pool ? idle : orderer, NULL);
	pause_ms(atof(words[1]) * 1000);
	return 0;
}
