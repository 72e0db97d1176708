/* Calls that end in unusual ways, or take their time in a known way; one scenario a run. */
#include "measured.h"
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/time.h>

static const char *path;

/* Holds the lock on the file for 60 ms from now on; returns when it has it. */
static pid_t hold_lock(void)
{
	int ready[2], fd;
	pid_t holder;
	char byte;

	if (pipe(ready))
		exit(1);
	holder = fork();
	if (holder == 0) {
		fd = open(path, O_RDWR);
		flock(fd, LOCK_EX);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		sleep_until(now() + 60 * MS);
		_exit(0);
	}
	if (read(ready[0], &byte, 1) != 1)
		exit(1);
	return holder;
}

static void ignore(int number)
{
	(void)number;
}

/* A signal ends the wait for a lock after 30 ms; with `flags` SA_RESTART it begins anew. */
static void interrupted(int flags)
{
	struct sigaction action = {.sa_handler = ignore, .sa_flags = flags};
	struct itimerval soon = {.it_value = {0, 30000}};
	pid_t holder = hold_lock();
	int fd = open(path, O_RDWR);
	long long began;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	began = now();
	if ((flock(fd, LOCK_EX) == 0) != (flags == SA_RESTART))
		exit(1);
	said("flock", now() - began);
	waitpid(holder, NULL, 0);
}

#if defined(__x86_64__)
/* As a 32-bit program would: int 0x80, by its own table, where flock is number 143. */
static void compat(void)
{
	pid_t holder = hold_lock();
	long fd = open(path, O_RDWR), result;
	long long began = now();

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(143L), "b"(fd), "c"((long)LOCK_EX) : "memory", "r8", "r9", "r10", "r11");
	said("flock", now() - began);
	waitpid(holder, NULL, 0);
	exit(result != 0);
}
#endif

static void *sleep_long(void *unused)
{
	sleep_until(now() + 5000 * MS);
	return unused;
}

static char *const again[] = {"odd_calls", "file", "nothing", NULL};

static void *run_another(void *self)
{
	sleep_until(now() + 30 * MS);
	execv(self, again);
	exit(1);
}

/* The process ends, or runs another program, while its other thread sleeps in a call. */
static void leave_thread(char *self, void *(*other)(void *))
{
	pthread_t thread;

	pthread_create(&thread, NULL, other, self);
	if (other == run_another)
		sleep_long(NULL);
	sleep_until(now() + 30 * MS);
	said("left", 0);
	_exit(0);
}

/* The child computes for long after its birth, and makes its first call then. */
static void newborn(void)
{
	pid_t child = fork();

	if (child == 0) {
		spin_until(now() + 60 * MS);
		said("child", 0);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static void wait_for_vfork(void)
{
	long long began = now();

	if (vfork() == 0) {
		sleep_until(now() + 40 * MS);
		_exit(0);
	}
	said("vfork", now() - began);
}

/* Runs in one call for long, while another process wants the CPU, too, if that is asked for. */
static void busy(const char *device, int contended)
{
	long long began, ran;
	char *memory;
	size_t size = 64 << 20;
	int fd = open(device, O_RDONLY);
	pid_t other = 0;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (fd < 0 || memory == MAP_FAILED)
		exit(1);
	if (contended) {
		other = fork();
		if (other == 0)
			for (;;)
				;
	}
	began = now();
	ran = clock_of(CLOCK_THREAD_CPUTIME_ID);
	if (read(fd, memory, size) <= 0)
		exit(1);
	said("read", now() - began);
	said("ran", clock_of(CLOCK_THREAD_CPUTIME_ID) - ran);
	if (other) {
		kill(other, SIGKILL);
		waitpid(other, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";

	path = argc > 1 ? argv[1] : "";
	if (strcmp(what, "contended") && strcmp(what, "nothing"))
		come_first();
	if (!strcmp(what, "interrupted"))
		interrupted(0);
	else if (!strcmp(what, "restarted"))
		interrupted(SA_RESTART);
#if defined(__x86_64__)
	else if (!strcmp(what, "compat"))
		compat();
#endif
	else if (!strcmp(what, "exit"))
		leave_thread(argv[0], sleep_long);
	else if (!strcmp(what, "exec"))
		leave_thread(argv[0], run_another);
	else if (!strcmp(what, "nothing"))
		said("another", 0);
	else if (!strcmp(what, "newborn"))
		newborn();
	else if (!strcmp(what, "vfork"))
		wait_for_vfork();
	else if (!strcmp(what, "busy"))
		busy(path, 0);
	else if (!strcmp(what, "contended")) {
		pin(atoi(argv[3]));
		busy(path, 1);
	} else
		return 2;
	return 0;
}
