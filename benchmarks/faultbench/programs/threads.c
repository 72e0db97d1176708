/* SPDX-License-Identifier: MIT */
/* Threads that end as soon as they have begun. usage: threads AT_ONCE */
#include <pthread.h>
#include <stdlib.h>

static void *end(void *nothing)
{
	return nothing;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1;
	pthread_t *threads = calloc(count, sizeof(*threads));

	for (;;) {
		for (int i = 0; i < count; i++)
			if (pthread_create(&threads[i], NULL, end, NULL))
				return 1;
		for (int i = 0; i < count; i++)
			pthread_join(threads[i], NULL);
	}
}
