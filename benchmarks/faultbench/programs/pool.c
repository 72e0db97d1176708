/* Threads that wait for work, and one that gives them some: pool WORKERS PAUSE_US WORK_US. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;
static long jobs, work_us;

static void compute(long us)
{
	struct timespec now;
	long long end;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	end = now.tv_sec * 1000000000LL + now.tv_nsec + us * 1000;
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while (now.tv_sec * 1000000000LL + now.tv_nsec < end);
}

static void *work(void *nothing)
{
	for (;;) {
		pthread_mutex_lock(&mutex);
		while (!jobs)
			pthread_cond_wait(&wanted, &mutex);
		jobs--;
		pthread_mutex_unlock(&mutex);
		compute(work_us);
	}
	return nothing;
}

int main(int count, char **words)
{
	pthread_t thread;
	int workers;
	long pause_us;

	if (count < 4)
		return 2;
	workers = atoi(words[1]);
	pause_us = atol(words[2]);
	work_us = atol(words[3]);
	while (workers--)
		pthread_create(&thread, NULL, work, NULL);
	for (;;) {
		usleep(pause_us);
		pthread_mutex_lock(&mutex);
		jobs++;
		pthread_cond_signal(&wanted);
		pthread_mutex_unlock(&mutex);
	}
}
