/* Wants one CPU for itself while a copy of it does too; says how long it was ready but not running. */
#include "measured.h"

int main(int argc, char **argv)
{
	long long began, ran;

	if (argc != 2)
		return 2;
	pin(atoi(argv[1]));
	if (fork() == 0) {
		spin_until(now() + 1500 * MS);
		_exit(0);
	}
	began = now();
	ran = clock_of(CLOCK_PROCESS_CPUTIME_ID);
	spin_until(began + 1500 * MS);
	said("queued", now() - began - (clock_of(CLOCK_PROCESS_CPUTIME_ID) - ran));
	wait(NULL);
	return 0;
}
