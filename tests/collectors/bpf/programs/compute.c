/* Computes for a known share of its CPU time in each of two functions, and says the shares. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile uint64_t sink;

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

#define WORK(name, factor)                                  \
	__attribute__((noinline)) void name(unsigned turns) \
	{                                                   \
		uint64_t value = sink;                      \
		while (turns--)                             \
			value = value * factor + 1;         \
		sink = value;                               \
	}

WORK(heavy_work, 6364136223846793005ULL)
WORK(light_work, 2862933555777941757ULL)

__attribute__((noinline)) void round_of_work(void (*work)(unsigned), uint64_t *spent)
{
	uint64_t began = cpu_ns();

	work(50000);
	*spent += cpu_ns() - began;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 3, share = argc > 2 ? atof(argv[2]) : 0.7;
	uint64_t heavy = 0, light = 0;

	while (heavy + light < seconds * 1e9) {
		if (heavy <= share * (heavy + light))
			round_of_work(heavy_work, &heavy);
		else
			round_of_work(light_work, &light);
	}
	printf("{\"what\": \"heavy\", \"ns\": %llu}\n{\"what\": \"light\", \"ns\": %llu}\n", (unsigned long long)heavy, (unsigned long long)light);
	return 0;
}
