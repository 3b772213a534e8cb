/* Opening the store: one daemon, a local file system, the right schema.  See store.h. */
#include "store_internal.h"

#include "common/fs.h"
#include "common/locks.h"
#include "schema/schema.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xFF534D42
#endif
#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xFE534D42
#endif

/* SQLite's write-ahead log needs shared memory between its users, which these do not give. */
static int check_file_system(const char *dir, struct err *err)
{
	struct statfs fs;
	if (statfs(dir, &fs) < 0)
		return err_sys(err, -errno, "cannot look at %s", dir);
	unsigned long type = (unsigned long)fs.f_type;
	if (type != NFS_SUPER_MAGIC && type != CIFS_SUPER_MAGIC && type != SMB2_SUPER_MAGIC && type != SMB_SUPER_MAGIC)
		return 0;
	return err_set(err, -ENOTSUP,
		       "%s is on a network file system; the database needs a local disk: "
		       "set SWEEPD_DIR to a directory on one",
		       dir);
}

#define LOCK_WAIT_MS 1000
#define CHECKED_AT_START (1 << 20) /* bytes: some 15 ms, where rows are short */

/* What a killed sweepd was about to start holds its lock until it has become a worker: waited for. */
static int lock_patiently(int fd)
{
	for (int waited_ms = 0;; waited_ms += 20) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK || waited_ms >= LOCK_WAIT_MS)
			return -errno;
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000L}, NULL);
	}
}

/* flock, because it goes with the process however that ends. */
static int take_lock(const char *state, int *ret_fd, struct err *err)
{
	char pid[32] = "";
	autofree char *path = xasprintf("%s/lock", state);
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0)
		return err_sys(err, -errno, "cannot open %s", path);
	int r = lock_patiently(fd);
	if (r < 0) {
		if (r != -EWOULDBLOCK)
			return err_sys(err, r, "cannot lock %s", path);
		ssize_t n = read(fd, pid, sizeof(pid) - 1);
		pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
		return err_set(err, -EEXIST, "another sweepd%s%s works in %s", *pid ? ", pid " : "", pid, state);
	}
	int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) < 0)
		return err_sys(err, -errno, "cannot write %s", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* --- files that are not there any more --- */

static const char *const suffixes[] = {"", "-wal", "-shm"};

static void identify(const char *path, const char *suffix, struct file_id *ret)
{
	struct stat st;
	autofree char *file = xasprintf("%s%s", path, suffix);
	*ret = (struct file_id){0};
	if (stat(file, &st) == 0)
		*ret = (struct file_id){st.st_dev, st.st_ino};
}

static int check_files(const struct store *s, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		struct file_id now;
		identify(s->path, suffixes[i], &now);
		if (now.device != s->files[i].device || now.inode != s->files[i].inode)
			return err_set(err, -ESTALE, "%s%s was moved, deleted or replaced under the running sweepd",
				       s->path, suffixes[i]);
	}
	return 0;
}

/* A submit that the last daemon did not finish was never answered: it did not happen. */
static int drop_unfinished_sweeps(struct store *s, struct err *err)
{
	int r;
	struct stmt *q = store_query(s, QUERY_EXPANDING_SWEEPS);
	while ((r = stmt_step(q, err)) == 1) {
		int64_t id = stmt_int(q, 0);
		stmt_reset(q);
		r = store_begin(s, err);
		r = r ? r : store_delete_sweep(s, id, err);
		r = r ? r : store_commit(s, err);
		if (r < 0)
			return r;
	}
	return r;
}

/* Before the loop there is time to wait for somebody's lock. */
#define OPEN_WAIT_MS 5000

static int prepare_database(struct store *s, const char *path, struct err *err)
{
	db_wait_for_locks(s->db, OPEN_WAIT_MS);
	int r = store_migrate(s->db, path, err);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) /* all are there once something was written */
		identify(path, suffixes[i], &s->files[i]);
	r = r ? r : drop_unfinished_sweeps(s, err);
	db_wait_for_locks(s->db, 0);
	return r;
}

/* Not .recover: in Debian 12's sqlite3 it fails on any database. */
int store_explain_damage(const char *path, struct err *err)
{
	struct err why = *err;
	return err_set(err, -EBADMSG,
		       "%s\n  the database is damaged; sweepd leaves it as it is\n"
		       "  do this:  restore a copy that `sweepctl db backup` made, or save what can be read:\n"
		       "            cd \"$(dirname %s)\" && mv results.db damaged.db && mv results.db-wal damaged.db-wal\n"
		       "            sqlite3 damaged.db .dump | sed 's/^ROLLBACK.*/COMMIT;/' | sqlite3 results.db\n"
		       "            sqlite3 results.db \"PRAGMA user_version = $(sqlite3 damaged.db 'PRAGMA user_version')\"",
		       why.text, path);
}

static char *distrust_path(const char *path)
{
	return xasprintf("%s.damaged", path);
}

void store_distrust(const struct store *s)
{
	static const char text[] = "damaged pages were found; checked at the next start\n";
	autofree char *path = distrust_path(s->path);
	fs_write_file(path, text, strlen(text), 0640, NULL); /* without it: found again */
}

/* It is to be read before anybody is served: small enough, or damaged last time. */
static bool is_checked_first(const char *path)
{
	struct stat db = {0}, log = {0};
	autofree char *log_path = xasprintf("%s-wal", path), *distrust = distrust_path(path);
	if (fs_exists(distrust))
		return true;
	stat(path, &db);
	stat(log_path, &log);
	return db.st_size + log.st_size <= CHECKED_AT_START;
}

static int check_first(const struct store *s, struct err *err)
{
	autofree char *distrust = distrust_path(s->path);
	int r = db_check_pages(s->db, err);
	if (r == 0)
		unlink(distrust);
	return r;
}

bool store_is_checked(const struct store *s)
{
	return s->checked;
}

int store_open(struct store **ret, const struct paths *paths, struct err *err)
{
	struct store *s = xcalloc(1, sizeof(*s));
	s->lock_fd = -1;
	s->path = xstrdup(paths->db);
	int r = check_file_system(paths->state, err);
	r = r ? r : take_lock(paths->state, &s->lock_fd, err);
	r = r ? r : db_open(&s->db, paths->db, DB_WRITE, err);
	if (r == 0 && (s->checked = is_checked_first(paths->db)))
		r = check_first(s, err);
	r = r ? r : prepare_database(s, paths->db, err);
	if (r < 0) {
		if (r == -EBADMSG)
			store_explain_damage(paths->db, err);
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	db_close(s->db);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s->path);
	free(s);
}

int store_begin(struct store *s, struct err *err)
{
	char holder[64];
	int r = check_files(s, err);
	r = r ? r : db_begin(s->db, err);
	if (r != -EBUSY)
		return r;
	lock_holder(s->path, DB_LOCK_WRITE, 0, holder, sizeof(holder));
	return err_set(err, r, "%s is locked by another process%s", s->path, holder);
}

int store_commit(struct store *s, struct err *err)
{
	int r = store_write_warm(s, err);
	return r ? r : db_commit(s->db, err);
}

void store_rollback(struct store *s)
{
	s->n_warm = 0;
	db_rollback(s->db);
}

struct stmt *store_query(struct store *s, enum query query)
{
	struct err err;
	if (!s->prepared[query] && db_prepare(s->db, schema_queries[query].sql, &s->prepared[query], &err) < 0)
		BUG("query %s: %s", schema_queries[query].name, err.text);
	return s->prepared[query];
}

int store_run(struct stmt *q, struct err *err)
{
	int r = stmt_step(q, err);
	INVARIANT(r <= 0, "a statement without rows gave one");
	return r;
}

int store_log_pages(const struct store *s)
{
	return db_log_pages(s->db);
}

int64_t store_last_event(struct store *s)
{
	struct stmt *q = store_query(s, QUERY_LAST_EVENT);
	if (stmt_step(q, NULL) != 1)
		return 0;
	int64_t id = stmt_int(q, 0);
	stmt_reset(q);
	return id;
}

static void bind_id(struct stmt *q, int i, int64_t id)
{
	if (id)
		stmt_bind_int(q, i, id);
	else
		stmt_bind_null(q, i);
}

int store_log_event(struct store *s, const struct event_row *e, int64_t *ret_id, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_ADD_EVENT);
	static const char *const columns[] = {"type", "attempt", "seq", "at_ms"};
	size_t n_columns = e->of_worker ? ARRAY_LEN(columns) : 0;
	autofree char *detail = e->detail ? json_line_without(e->detail, columns, n_columns) : NULL;
	stmt_bind_int(q, 1, e->at_ms);
	bind_id(q, 2, e->sweep);
	bind_id(q, 3, e->job);
	bind_id(q, 4, e->attempt);
	bind_id(q, 5, e->seq);
	stmt_bind_borrowed(q, 6, e->kind);
	stmt_bind_borrowed(q, 7, detail);
	int r = store_run(q, err);
	if (r == 0 && ret_id)
		*ret_id = db_last_rowid(s->db);
	return r;
}
