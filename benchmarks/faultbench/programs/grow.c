/*
 * Takes memory: grow FIRST_MIB MIB_PER_S MOST_MIB
 * FIRST_MIB at once, then MIB_PER_S a second up to MOST_MIB (0: without end), and keeps all of it.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE (256UL << 10)

static void take(unsigned long bytes)
{
	char *piece;

	for (; bytes >= PIECE; bytes -= PIECE) {
		piece = malloc(PIECE);
		if (!piece)
			return;
		memset(piece, 1, PIECE);
	}
}

int main(int count, char **words)
{
	unsigned long first = atol(words[1]) << 20, most = count > 3 ? atol(words[3]) << 20 : 0, taken = first;
	double every = 1 / (atof(words[2]) * (1 << 20) / PIECE);
	struct timespec wait = {(time_t)every, (long)((every - (time_t)every) * 1e9)};

	take(first);
	while (!most || taken < most) {
		take(PIECE);
		taken += PIECE;
		nanosleep(&wait, NULL);
	}
	for (;;)
		pause();
}
