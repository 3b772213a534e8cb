/* Preloaded into sweepd by test_9_clock.py: moves the wall clock by the nanoseconds that the file $CLOCK_SHIFT holds.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static int64_t shift(void)
{
	static const volatile int64_t *ns;
	if (!ns) {
		int fd = open(getenv("CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC);
		ns = mmap(NULL, sizeof(*ns), PROT_READ, MAP_SHARED, fd, 0);
	}
	return *ns;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int r = real(clock, t);
	if (clock == CLOCK_REALTIME)
		t->tv_sec += shift() / 1000000000;
	return r;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	*tv = (struct timeval){.tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000};
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}
