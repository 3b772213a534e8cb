/* An LD_PRELOAD library that counts who asks for memory: malloc and its kin, C++'s operator new, mmap.  When the program
 * ends it writes a line "OBJECT OFFSET CALLS BYTES" for each place that called to the file $COUNT_ALLOCS; addr2line -e
 * OBJECT OFFSET says where that is.
 *
 * The thread "telemetry" is not counted: how often it looks depends on the time that the rest takes.
 *
 * What a program asks through another function (xmalloc, a library's own wrapper) is counted for that function. */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PLACES = 1 << 15 };

static struct place {
	_Atomic(uintptr_t) caller; /* 0: free */
	atomic_ulong calls, bytes;
} places[PLACES];

/* glibc's own, under the names that it exports for this purpose */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static void count(void *caller, size_t bytes)
{
	char name[16] = "";
	prctl(PR_GET_NAME, name);
	if (strcmp(name, "telemetry") == 0)
		return;
	uintptr_t key = (uintptr_t)caller;
	for (size_t i = key * 0x9e3779b97f4a7c15u >> 49, tried = 0; tried < PLACES; i = (i + 1) % PLACES, tried++) {
		uintptr_t there = 0;
		if (atomic_compare_exchange_strong(&places[i].caller, &there, key) || there == key) {
			atomic_fetch_add(&places[i].calls, 1);
			atomic_fetch_add(&places[i].bytes, bytes);
			return;
		}
	}
	abort();
}
#define COUNT(bytes) count(__builtin_return_address(0), bytes)

void *malloc(size_t size)
{
	COUNT(size);
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	COUNT(n * size);
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	COUNT(size);
	return __libc_realloc(p, size);
}

void *memalign(size_t alignment, size_t size)
{
	COUNT(size);
	return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	COUNT(size);
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	COUNT(size);
	void *p = __libc_memalign(alignment, size);
	if (p)
		*ret = p;
	return p ? 0 : ENOMEM;
}

/* Under both of its names, which the headers may make one. */
void *counted_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset) __asm__("mmap");
void *counted_mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset) __asm__("mmap64");

void *counted_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	COUNT(length);
	return (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);
}

void *counted_mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	COUNT(length);
	return (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);
}

/* operator new(size_t) and operator new[](size_t), so that they are counted for who calls them. */
void *cxx_new(size_t size) __asm__("_Znwm");
void *cxx_new_array(size_t size) __asm__("_Znam");

void *cxx_new(size_t size)
{
	COUNT(size);
	void *p = __libc_malloc(size);
	return p ? p : (abort(), NULL);
}

void *cxx_new_array(size_t size)
{
	COUNT(size);
	void *p = __libc_malloc(size);
	return p ? p : (abort(), NULL);
}

__attribute__((destructor)) static void write_counts(void)
{
	const char *path = getenv("COUNT_ALLOCS");
	FILE *f = path ? fopen(path, "we") : NULL;
	for (size_t i = 0; f && i < PLACES; i++) {
		Dl_info info;
		uintptr_t caller = atomic_load(&places[i].caller);
		if (caller && dladdr((void *)caller, &info))
			fprintf(f, "%s 0x%lx %lu %lu\n", info.dli_fname,
				(unsigned long)(caller - (uintptr_t)info.dli_fbase), atomic_load(&places[i].calls), atomic_load(&places[i].bytes));
	}
	if (f)
		fclose(f);
}
