/*
 * Makes page faults of known kinds, as it is told line by line, and says of each order how many the
 * kernel counted and how long each took by its own clock. Everything but the fault is touched beforehand.
 */
#include "measured.h"
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define PAGE 4096L
#define MOST 256

static struct result {
	char *from;
	long pages, minor, major, timed;
	long long took[MOST]; /* of the first so many */
} result;
static struct rusage before;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static char *map(long pages, int protection, int flags, int fd)
{
	char *memory = mmap(NULL, pages * PAGE, protection, flags, fd, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
	memset(&result, 0, sizeof(result));
	result.from = memory;
	result.pages = pages;
	getrusage(RUSAGE_THREAD, &before);
	return memory;
}

static char *fresh(long pages)
{
	return map(pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void took(long long began)
{
	long long ended = now();

	if (result.timed < MOST)
		result.took[result.timed++] = ended - began;
}

static void done(void)
{
	struct rusage after;

	getrusage(RUSAGE_THREAD, &after);
	result.minor = after.ru_minflt - before.ru_minflt;
	result.major = after.ru_majflt - before.ru_majflt;
	munmap(result.from, result.pages * PAGE);
}

static void read_each(volatile char *memory, long pages)
{
	for (long i = 0; i < pages; i++) {
		long long began = now();

		(void)memory[i * PAGE];
		took(began);
	}
}

static void write_each(volatile char *memory, long pages)
{
	for (long i = 0; i < pages; i++) {
		long long began = now();

		memory[i * PAGE] = 1;
		took(began);
	}
}

/* A function in a file that nobody has mapped yet. */
static void execute(void)
{
#if defined(__x86_64__)
	unsigned int code = 0xc3;
#else
	unsigned int code = 0xd65f03c0;
#endif
	int fd = memfd_create("code", 0);
	long long began;
	char *memory;

	if (pwrite(fd, &code, sizeof(code), 0) != sizeof(code))
		fail("memfd");
	memory = map(1, PROT_READ | PROT_EXEC, MAP_SHARED, fd);
	began = now();
	((void (*)(void))memory)();
	took(began);
	done();
	close(fd);
}

/* The kernel copies from (or to) memory that is not there yet. */
static void through_pipe(long pages, int writes)
{
	static char content[PAGE];
	int ends[2];

	if (pipe(ends))
		fail("pipe");
	char *memory = fresh(pages);
	for (long i = 0; i < pages; i++) {
		char *from = writes ? content : memory + i * PAGE, *to = writes ? memory + i * PAGE : content;

		if (write(ends[1], from, PAGE) != PAGE || read(ends[0], to, PAGE) != PAGE)
			fail("pipe");
	}
	done();
	close(ends[0]);
	close(ends[1]);
}

static void from_disk(const char *path, long pages)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		fail(path);
	char *memory = map(pages, PROT_READ, MAP_PRIVATE, fd);
	madvise(memory, pages * PAGE, MADV_RANDOM); /* one page at a time */
	read_each(memory, pages);
	done();
	close(fd);
}

struct answer {
	int fd;
	long long after;
};

static void *answer(void *argument)
{
	static char page[PAGE] = "x";
	struct answer *how = argument;
	struct uffd_msg message;

	if (read(how->fd, &message, sizeof(message)) != sizeof(message))
		fail("userfaultfd");
	sleep_until(now() + how->after);
	struct uffdio_copy copy = {.dst = message.arg.pagefault.address & -PAGE, .src = (long)page, .len = PAGE};
	if (ioctl(how->fd, UFFDIO_COPY, &copy))
		fail("UFFDIO_COPY");
	return NULL;
}

/* Whoever reads the page waits until another thread answers. */
static void user_fault(long ms)
{
	struct answer how = {.fd = syscall(SYS_userfaultfd, O_CLOEXEC), .after = ms * MS};
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register place = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	pthread_t thread;

	if (how.fd < 0 || ioctl(how.fd, UFFDIO_API, &api))
		fail("userfaultfd");
	char *memory = fresh(1);
	place.range.start = (long)memory;
	place.range.len = PAGE;
	if (ioctl(how.fd, UFFDIO_REGISTER, &place) || pthread_create(&thread, NULL, answer, &how))
		fail("UFFDIO_REGISTER");
	sleep_until(now() + 5 * MS); /* the other one waits by now, and has had its own faults */
	getrusage(RUSAGE_THREAD, &before);
	read_each(memory, 1);
	done();
	pthread_join(thread, NULL);
	close(how.fd);
}

static void *touch_in_thread(void *pages)
{
	char *memory = mmap(NULL, (long)pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(memory, (long)pages * PAGE, MADV_NOHUGEPAGE);
	for (long i = 0; i < (long)pages; i++)
		memory[i * PAGE] = 1;
	return NULL;
}

static void *touch_and_stay(void *touched)
{
	touch_in_thread((void *)1);
	pthread_barrier_wait(touched);
	for (;;)
		pause();
}

static void crowd(long threads)
{
	static pthread_barrier_t touched;
	pthread_t thread;

	pthread_barrier_init(&touched, NULL, threads + 1);
	for (long i = 0; i < threads; i++)
		if (pthread_create(&thread, NULL, touch_and_stay, &touched))
			fail("pthread_create");
	pthread_barrier_wait(&touched);
}

static void in_threads(long threads, long pages)
{
	pthread_t thread;

	while (threads--) {
		pthread_create(&thread, NULL, touch_in_thread, (void *)pages);
		pthread_join(thread, NULL);
	}
}

int main(void)
{
	char line[512], order[32], path[400];
	long number, more;

	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	while (fgets(line, sizeof(line), stdin)) {
		number = more = 1;
		path[0] = 0;
		if (sscanf(line, "%31s %ld %ld", order, &number, &more) < 2)
			return 2;
		sscanf(line, "%*s %*d %399s", path);
		memset(&result, 0, sizeof(result));
		if (!strcmp(order, "write"))
			write_each(fresh(number), number), done();
		else if (!strcmp(order, "read"))
			read_each(fresh(number), number), done();
		else if (!strcmp(order, "execute"))
			execute();
		else if (!strcmp(order, "kernel-reads"))
			through_pipe(number, 0);
		else if (!strcmp(order, "kernel-writes"))
			through_pipe(number, 1);
		else if (!strcmp(order, "disk"))
			from_disk(path, number);
		else if (!strcmp(order, "user"))
			user_fault(number);
		else if (!strcmp(order, "crowd"))
			crowd(number);
		else if (!strcmp(order, "threads"))
			in_threads(number, more);
		else
			return 2;
		printf("{\"pid\": %d, \"from\": %ld, \"minor\": %ld, \"major\": %ld, \"took_ns\": [", getpid(),
		       (long)result.from, result.minor, result.major);
		for (long i = 0; i < result.timed; i++)
			printf("%s%lld", i ? ", " : "", result.took[i]);
		puts("]}");
	}
	return 0;
}
