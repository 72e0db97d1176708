/*
 * Fails for want of known things a known number of times. What fails in another way is said on standard error, with its
 * line. The first argument is a path where nothing is.
 */
#include "measured.h"
#include <sys/resource.h>

#define ASSERT(true) do { if (!(true)) fprintf(stderr, "line %d: %s: %m\n", __LINE__, #true), exit(1); } while (0)

int main(int count, char **arguments)
{
	struct rlimit few = {16, 16}, none = {1, 1};
	int full = open("/dev/full", O_WRONLY);

	ASSERT(count == 2 && full != -1);
	for (int i = 0; i < 7; i++)
		ASSERT(write(full, "x", 1) == -1 && errno == ENOSPC);
	for (int i = 0; i < 9; i++)
		ASSERT(open(arguments[1], O_RDONLY) == -1 && errno == ENOENT);
	ASSERT(!setrlimit(RLIMIT_NOFILE, &few));
	for (int failed = 0; failed < 5; failed += open("/dev/null", O_RDONLY) == -1)
		ASSERT(!failed || errno == EMFILE);
	ASSERT(!setgid(65534) && !setuid(65534) && !setrlimit(RLIMIT_NPROC, &none));
	for (int failed = 0; failed < 3;) {
		int child = fork();

		if (child == 0)
			_exit(0);
		ASSERT(child == -1);
		failed += errno == EAGAIN; /* memory may be short besides */
	}
	said("failed", 0);
	return 0;
}
