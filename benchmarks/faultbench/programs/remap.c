/*
 * Takes memory, touches it and gives it back, in an endless loop: remap MIB PAUSE_US unmap|advise [WORK]
 * WORK: passes over the memory before it is given back.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int count, char **words)
{
	size_t size = (size_t)atol(words[1]) << 20;
	int advise = !strcmp(words[3], "advise"), work = count > 4 ? atoi(words[4]) : 1;
	char *kept = NULL, *area;

	for (;;) {
		area = kept ? kept : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (area == MAP_FAILED)
			return 1;
		for (int i = 0; i < work; i++)
			for (size_t at = 0; at < size; at += 4096)
				area[at]++;
		if (advise) {
			kept = area;
			madvise(area, size, MADV_DONTNEED);
		} else {
			munmap(area, size);
		}
		if (atoi(words[2]))
			usleep(atoi(words[2]));
	}
}
