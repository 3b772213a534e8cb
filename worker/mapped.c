/* See mapped.h. */
#include "mapped.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct mapped {
	char *path;
	int fd; /* kept for fstat: the name may be another file's by then */
	uint8_t *bytes;
	size_t size;
	struct timespec changed;
	atomic_bool hurt; /* a read failed */
};

static struct mapped *_Atomic live[MAPPED_MAX]; /* what the handler may mend */
static struct sigaction previous;
static uintptr_t page_size;

static struct mapped *find(uintptr_t at)
{
	for (int i = 0; i < MAPPED_MAX; i++) {
		struct mapped *m = atomic_load(&live[i]);
		if (m && at >= (uintptr_t)m->bytes && at < (uintptr_t)m->bytes + m->size)
			return m;
	}
	return NULL;
}

/* Not ours, or beyond mending: the instruction runs again, into what was there before this handler. */
static void on_bus_error(int signal, siginfo_t *info, void *context)
{
	int saved = errno;
	uintptr_t at = (uintptr_t)info->si_addr;
	struct mapped *m = find(at);
	void *page = (void *)(at / page_size * page_size);
	if (m)
		atomic_store(&m->hurt, true);
	if (!m || mmap(page, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		sigaction(SIGBUS, &previous, NULL);
	errno = saved;
}

/* Anew for each file: somebody else may have put a handler of his own there since. */
static void install(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO}, old;
	pthread_mutex_lock(&lock);
	page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	sigaction(SIGBUS, &action, &old);
	if (!(old.sa_flags & SA_SIGINFO) || old.sa_sigaction != on_bus_error)
		previous = old;
	pthread_mutex_unlock(&lock);
}

static int publish(struct mapped *m, struct err *err)
{
	install();
	for (int i = 0; i < MAPPED_MAX; i++) {
		struct mapped *none = NULL;
		if (atomic_compare_exchange_strong(&live[i], &none, m))
			return 0;
	}
	return err_set(err, -EMFILE, "%s: more than %d files are mapped", m->path, MAPPED_MAX);
}

static int map(struct mapped *m, struct err *err)
{
	struct stat st;
	if (fstat(m->fd, &st) < 0)
		return err_sys(err, -errno, "%s", m->path);
	if (st.st_size == 0)
		return err_set(err, -EINVAL, "%s: is empty", m->path);
	m->changed = st.st_mtim;
	m->size = (size_t)st.st_size;
	void *bytes = mmap(NULL, m->size, PROT_READ, MAP_SHARED, m->fd, 0);
	if (bytes == MAP_FAILED)
		return err_sys(err, -errno, "%s", m->path);
	m->bytes = bytes;
	return publish(m, err);
}

int mapped_open(struct mapped **ret, const char *path, struct err *err)
{
	struct mapped *m = xcalloc(1, sizeof(*m));
	m->path = xstrdup(path);
	m->fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = m->fd < 0 ? err_sys(err, -errno, "%s", path) : map(m, err);
	if (r < 0)
		mapped_close(m);
	else
		*ret = m;
	return r;
}

const uint8_t *mapped_bytes(const struct mapped *m)
{
	return m->bytes;
}

size_t mapped_size(const struct mapped *m)
{
	return m->size;
}

int mapped_check(const struct mapped *m, struct err *err)
{
	struct stat st;
	if (fstat(m->fd, &st) < 0)
		return err_sys(err, -ENODATA, "%s", m->path);
	if (atomic_load(&m->hurt) || (size_t)st.st_size != m->size)
		return err_set(err, -ENODATA,
			       "%s was cut short or could not be read while it was used: %zu bytes at first, %zu now; "
			       "put it back and retry",
			       m->path, m->size, (size_t)st.st_size);
	if (st.st_mtim.tv_sec != m->changed.tv_sec || st.st_mtim.tv_nsec != m->changed.tv_nsec)
		return err_set(err, -ENODATA, "%s was written to while it was used; retry with it as it shall be",
			       m->path);
	return 0;
}

void mapped_close(struct mapped *m)
{
	if (!m)
		return;
	for (int i = 0; i < MAPPED_MAX; i++) {
		struct mapped *self = m;
		if (atomic_compare_exchange_strong(&live[i], &self, NULL))
			break;
	}
	if (m->bytes)
		munmap(m->bytes, m->size);
	if (m->fd >= 0)
		close(m->fd);
	free(m->path);
	free(m);
}
