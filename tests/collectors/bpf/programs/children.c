/* Has 25 children of which 10 run another program; says how long they lived at least and at most, all together. */
#include "measured.h"
#include <sys/mman.h>

int main(void)
{
	long long least = 0, most = 0, born;
	long long *of_child = mmap(NULL, sizeof(*of_child), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (of_child == MAP_FAILED)
		return 1;
	come_first();
	for (int i = 0; i < 25; i++) {
		pid_t child;

		born = now();
		child = fork();
		if (child == 0) {
			long long began = now();

			*of_child = 20 * MS; /* what follows sleeps so long */
			if (i % 5 < 2)
				execl("/bin/sleep", "sleep", "0.02", NULL);
			sleep_until(now() + 20 * MS);
			*of_child = now() - began;
			_exit(0);
		}
		waitpid(child, NULL, 0);
		most += now() - born;
		least += *of_child;
	}
	said("lived at least", least);
	said("lived at most", most);
	return 0;
}
