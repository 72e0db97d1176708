/* Has 25 children of which 10 run another program; says how long they lived, all together. */
#include "measured.h"

int main(void)
{
	long long lived = 0, born;

	come_first();
	for (int i = 0; i < 25; i++) {
		pid_t child;

		born = now();
		child = fork();
		if (child == 0) {
			if (i % 5 < 2)
				execl("/bin/sleep", "sleep", "0.02", NULL);
			sleep_until(now() + 20 * MS);
			_exit(0);
		}
		waitpid(child, NULL, 0);
		lived += now() - born;
	}
	said("lived", lived);
	return 0;
}
