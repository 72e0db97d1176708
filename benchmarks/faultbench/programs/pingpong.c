/* Pairs of processes that hand one byte to and fro over pipes: pingpong PAIRS. */
#include <stdlib.h>
#include <unistd.h>

static void pass(int from, int to)
{
	char byte;

	while (read(from, &byte, 1) == 1 && write(to, &byte, 1) == 1)
		;
}

int main(int count, char **words)
{
	int pairs = count > 1 ? atoi(words[1]) : 1, there[2], back[2], i;

	for (i = 0; i < pairs; i++) {
		if (pipe(there) || pipe(back))
			return 1;
		if (!fork()) {
			pass(there[0], back[1]);
			return 0;
		}
		if (!fork()) {
			if (write(there[1], "x", 1) == 1)
				pass(back[0], there[1]);
			return 0;
		}
	}
	for (;;)
		pause();
}
