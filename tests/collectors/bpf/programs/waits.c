/* Waits for known things, one scenario a run, and says for how long it was kept waiting. */
#include "measured.h"

#define ROUNDS 100
#define TURNS 40000
#define PERIOD (10 * MS)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long long start;

static void *hold(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		sleep_until(start + i * PERIOD);
		pthread_mutex_lock(&mutex);
		sleep_until(start + i * PERIOD + 5 * MS);
		pthread_mutex_unlock(&mutex);
	}
	return unused;
}

/* Another thread holds a mutex for 5 ms in every 10; this one wants it 1 ms later. */
static void wait_for_mutex(void)
{
	pthread_t holder;
	long long waited = 0, began;

	start = now() + 20 * MS;
	pthread_create(&holder, NULL, hold, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		sleep_until(start + i * PERIOD + MS);
		began = now();
		pthread_mutex_lock(&mutex);
		waited += now() - began;
		pthread_mutex_unlock(&mutex);
	}
	pthread_join(holder, NULL);
	said("futex", waited);
}

/* A child answers every byte after 3 ms. */
static void wait_for_pipe(void)
{
	int there[2], back[2];
	long long waited = 0, began;
	char byte = 'x';
	pid_t child;

	if (pipe(there) || pipe(back))
		exit(1);
	child = fork();
	if (child == 0) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1) {
			sleep_until(now() + 3 * MS);
			if (write(back[1], &byte, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	printf("{\"what\": \"child\", \"pid\": %d, \"tid\": %d, \"ns\": 0}\n", child, child);
	for (int i = 0; i < ROUNDS; i++) {
		if (write(there[1], &byte, 1) != 1)
			exit(1);
		began = now();
		if (read(back[0], &byte, 1) != 1)
			exit(1);
		waited += now() - began;
	}
	close(there[1]);
	wait(NULL);
	said("read", waited);
}

static void wait_for_child(void)
{
	long long began;
	pid_t child = fork();

	if (child == 0) {
		sleep_until(now() + 300 * MS);
		_exit(0);
	}
	printf("{\"what\": \"child\", \"pid\": %d, \"tid\": %d, \"ns\": 0}\n", child, child);
	began = now();
	waitpid(child, NULL, 0);
	said("wait4", now() - began);
}

/* Two that only ever wait for each other, on one CPU: every other switch is from the same one. */
static void take_turns(int cpu)
{
	int there[2], back[2];
	char byte = 'x';
	pid_t child;

	pin(cpu);
	if (pipe(there) || pipe(back))
		exit(1);
	child = fork();
	if (child == 0) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
			;
		_exit(0);
	}
	printf("{\"what\": \"child\", \"pid\": %d, \"tid\": %d, \"ns\": 0}\n", child, child);
	for (int i = 0; i < TURNS; i++)
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			exit(1);
	close(there[1]);
	wait(NULL);
	said("turns", TURNS);
}

/* Reads past the page cache from a device that is made slow from outside. */
static void wait_for_device(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECT);
	long long waited = 0, began;
	void *block;

	if (fd < 0 || posix_memalign(&block, 4096, 4096))
		perror(path), exit(1);
	for (int i = 0; i < 20; i++) {
		began = now();
		if (pread(fd, block, 4096, i * 4096) != 4096)
			perror("pread"), exit(1);
		waited += now() - began;
	}
	said("pread64", waited);
}

static void *take_and_hold(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		sleep_until(now() + MS);
		pthread_mutex_unlock(&mutex);
	}
	return unused;
}

/* Four threads around one mutex, which each holds for 1 ms. */
static void crowd_around_mutex(void)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, take_and_hold, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	said("crowd", 4 * ROUNDS);
}

static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static int tasks;

static void *work_off(void *unused)
{
	for (int task = 1; task > 0;) {
		pthread_mutex_lock(&mutex);
		while (!tasks)
			pthread_cond_wait(&work, &mutex);
		task = tasks > 0 ? tasks-- : tasks;
		pthread_mutex_unlock(&mutex);
	}
	return unused;
}

/* Four workers wait for what a fifth thread hands out every 2 ms. */
static void hand_out_work(void)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, work_off, NULL);
	for (int i = 0; i <= 2 * ROUNDS; i++) {
		sleep_until(now() + 2 * MS);
		pthread_mutex_lock(&mutex);
		tasks = i < 2 * ROUNDS ? tasks + 1 : -1;
		pthread_mutex_unlock(&mutex);
		if (i < 2 * ROUNDS)
			pthread_cond_signal(&work);
		else
			pthread_cond_broadcast(&work);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	said("work", 2 * ROUNDS);
}

int main(int argc, char **argv)
{
	come_first();
	if (argc > 1 && !strcmp(argv[1], "mutex"))
		wait_for_mutex();
	else if (argc > 1 && !strcmp(argv[1], "pipe"))
		wait_for_pipe();
	else if (argc > 1 && !strcmp(argv[1], "child"))
		wait_for_child();
	else if (argc > 1 && !strcmp(argv[1], "crowd"))
		crowd_around_mutex();
	else if (argc > 1 && !strcmp(argv[1], "work"))
		hand_out_work();
	else if (argc > 2 && !strcmp(argv[1], "turns"))
		take_turns(atoi(argv[2]));
	else if (argc > 2 && !strcmp(argv[1], "device"))
		wait_for_device(argv[2]);
	else
		return 2;
	return 0;
}
