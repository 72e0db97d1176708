/* Touches memory in several threads, says so, and keeps it: MEGABYTES THREADS USER. */
#include "measured.h"

#include <sys/mman.h>

static size_t bytes;

static void *eat(void *unused)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t at = 0; at < bytes; at += 4096)
		memory[at] = 1;
	return memory;
}

int main(int argc, char **argv)
{
	int threads = argc == 4 ? atoi(argv[2]) : 0;
	pthread_t started[64];

	if (threads < 1 || threads > 64 || setuid(atoi(argv[3])))
		return 2;
	bytes = (size_t)atoi(argv[1]) * 1048576 / threads;
	for (int i = 0; i < threads; i++)
		if (pthread_create(&started[i], NULL, eat, NULL))
			return 1;
	for (int i = 0; i < threads; i++)
		pthread_join(started[i], NULL);
	said("full", 0);
	pause();
	return 0;
}
