/* Very many processes, or threads of one process, at little cost: `crowd processes|threads COUNT`.
 *
 * One in ten moves every second, the others sleep. It says `ready`, and ends with its standard input, or by itself
 * after ten minutes. Build: gcc -O2 -pthread -o crowd crowd.c
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { EVERY = 10, LONGEST_S = 600 };

static void *live(void *number)
{
	struct timespec second = { 1, 0 };

	for (;;) {
		if ((long)number % EVERY)
			pause();
		else
			nanosleep(&second, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	long count = argc > 2 ? atol(argv[2]) : 0, number;
	int threads = argc > 1 && !strcmp(argv[1], "threads");
	pid_t parent = getpid();
	pthread_attr_t small;
	char end;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 << 10);
	for (number = 0; number < count; number++) {
		pthread_t thread;

		if (threads) {
			if (pthread_create(&thread, &small, live, (void *)number))
				break;
			continue;
		}
		switch (fork()) {
		case -1:
			count = number;
			break;
		case 0:
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent)
				return 1;
			live((void *)number);
		}
	}
	alarm(LONGEST_S);
	printf("ready %ld\n", number);
	fflush(stdout);
	while (read(0, &end, 1) > 0)
		;
	return 0;
}
