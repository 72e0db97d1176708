/*
 * Works on memory in an order that nobody can foresee: walk MIB PAGES_PER_MS
 * Takes MIB, then writes to so many pages of it every millisecond, at random.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int count, char **words)
{
	size_t size = (size_t)atol(words[1]) << 20, pages = size / 4096;
	char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long state = 88172645463325252UL, together = atol(words[2]);

	if (count < 3 || area == MAP_FAILED)
		return 1;
	for (size_t at = 0; at < size; at += 4096)
		memset(area + at, (int)(at >> 12), 64);
	for (unsigned long turn = 1;; turn++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		area[state % pages * 4096]++;
		if (turn % together == 0)
			usleep(1000);
	}
}
