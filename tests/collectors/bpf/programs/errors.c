/* Fails for want of known things a known number of times; its status is the line that failed in another way. */
#include "measured.h"
#include <sys/resource.h>

int main(void)
{
	struct rlimit few = {16, 16}, none = {1, 1};
	int full = open("/dev/full", O_WRONLY), failed = 0;

	for (int i = 0; i < 7; i++)
		if (write(full, "x", 1) != -1 || errno != ENOSPC)
			return __LINE__;
	for (int i = 0; i < 9; i++)
		if (open("/nonexistent", O_RDONLY) != -1 || errno != ENOENT)
			return __LINE__;
	setrlimit(RLIMIT_NOFILE, &few);
	while (failed < 5)
		failed += open("/dev/null", O_RDONLY) == -1 && errno == EMFILE;
	if (setgid(65534) || setuid(65534) || setrlimit(RLIMIT_NPROC, &none))
		return __LINE__;
	for (int i = 0; i < 3; i++)
		if (fork() != -1 || errno != EAGAIN)
			return __LINE__;
	said("failed", 0);
	return 0;
}
