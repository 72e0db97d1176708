/* Threads that run, queue for one CPU and sleep in turn; says how long they lived, all together. */
#include "measured.h"

#define THREADS 3
#define LIFE (2000 * MS)

static long long lived[THREADS];

static void *live(void *argument)
{
	int *number = argument;
	long long born = now(), end = born + LIFE;

	for (int i = 0; now() < end; i++) {
		spin_until(now() + 3 * MS);
		if (i % 3 == *number)
			sleep_until(now() + 5 * MS);
	}
	lived[*number] = now() - born;
	return NULL;
}

int main(int argc, char **argv)
{
	long long born = now(), all = 0;
	int numbers[THREADS];
	pthread_t threads[THREADS];

	if (argc != 2)
		return 2;
	pin(atoi(argv[1]));
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		pthread_create(&threads[i], NULL, live, &numbers[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		all += lived[i];
	}
	said("lived", all + now() - born);
	return 0;
}
