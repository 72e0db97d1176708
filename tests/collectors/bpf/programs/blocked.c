/* Sleeps uninterruptibly: until a child born by vfork ends, or until a file system thaws. */
#include "measured.h"

int main(int argc, char **argv)
{
	long long began;
	int fd;

	if (argc == 2 && !strcmp(argv[1], "vfork")) {
		began = now();
		if (vfork() == 0) {
			sleep_until(now() + 2500 * MS);
			_exit(0);
		}
		said("vfork", now() - began);
		return 0;
	}
	if (argc != 3)
		return 2;
	fd = open(argv[2], O_RDWR);
	said("ready", fd);
	began = now();
	if (write(fd, "x", 1) != 1)
		return 1;
	said("write", now() - began);
	return 0;
}
