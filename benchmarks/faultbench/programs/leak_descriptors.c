/* Opens descriptors and forgets them: leak_descriptors LIMIT PAUSE_US */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rlimit limit;
	int ends[2];

	if (argc != 3)
		return 2;
	limit.rlim_cur = limit.rlim_max = atoi(argv[1]);
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int round = 0;; round++) {
		if (round % 4 == 0)
			(void)!pipe(ends);
		else
			eventfd(0, 0);
		usleep(atoi(argv[2]));
	}
}
