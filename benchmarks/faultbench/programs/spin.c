/* Threads that never sleep: spin THREADS user|kernel|realtime */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int zeros = -1;

static void *spin(void *unused)
{
	static __thread char page[1 << 16];
	volatile double sum = 1;

	(void)unused;
	for (;;) {
		if (zeros >= 0 && read(zeros, page, sizeof(page)) < 0)
			break;
		for (int i = 0; zeros < 0 && i < 1000; i++)
			sum = sum * 1.0000001 + i;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	const char *how = argc > 2 ? argv[2] : "user";
	struct sched_param first_come = {.sched_priority = 10};
	pthread_t thread;

	if (!strcmp(how, "kernel"))
		zeros = open("/dev/zero", O_RDONLY);
	if (!strcmp(how, "realtime") && sched_setscheduler(0, SCHED_FIFO, &first_come)) {
		perror("SCHED_FIFO");
		return 1;
	}
	for (int i = 1; i < threads; i++)
		pthread_create(&thread, NULL, spin, NULL);
	spin(NULL);
	return 0;
}
