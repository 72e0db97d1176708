/* Takes 64 MiB, page by page, and gives them back, again and again: takes_memory SECONDS */
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { BYTES = 64 << 20, PAGE = 4096 };

__attribute__((noinline)) void take_memory(char *memory)
{
	for (long at = 0; at < BYTES; at += PAGE)
		memory[at] = 1;
}

int main(int count, char **arguments)
{
	time_t end = time(NULL) + (count > 1 ? atoi(arguments[1]) : 1);

	while (time(NULL) < end) {
		char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED)
			return 1;
		madvise(memory, BYTES, MADV_NOHUGEPAGE);
		take_memory(memory);
		munmap(memory, BYTES);
	}
	return 0;
}
