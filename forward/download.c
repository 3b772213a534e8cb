/* See download.h: the partial file, local files, and trying again. */
#include "download_internal.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"

#include <fcntl.h>
#include <math.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_REQUESTS 200  /* of one address, whatever came of them */
#define MAX_DELAY_S  60.0 /* also of what a server asks for */

volatile sig_atomic_t download_interrupted;

char *url_shown(const char *url)
{
	const char *scheme = strstr(url, "://");
	if (!scheme)
		return xstrdup(url);
	const char *host = scheme + 3;
	size_t authority = strcspn(host, "/?#"), size = strcspn(host, "?#");
	for (const char *at = host; at < host + authority; at++) /* the last "@" ends user and password */
		if (*at == '@') {
			size -= (size_t)(at + 1 - host);
			authority -= (size_t)(at + 1 - host);
			host = at + 1;
		}
	return xasprintf("%.*s://%.*s", (int)(scheme - url), url, (int)size, host);
}

char *url_path(const char *url)
{
	if (strncasecmp(url, "file://localhost/", 17) == 0)
		return xstrdup(url + 16);
	if (strncasecmp(url, "file:///", 8) == 0)
		return xstrdup(url + 7);
	return strstr(url, "://") ? NULL : xstrdup(url);
}

/* --- PART and PART.json --- */

static char *note_path(const char *part)
{
	return xasprintf("%s.json", part);
}

void download_forget(const char *part)
{
	autofree char *note = note_path(part);
	unlink(note); /* first: what is left of a part alone is seen and removed */
	unlink(part);
}

/* The validator of the file of that address; "" when there is none. */
static void note_read(const struct download *d, char *ret, size_t size)
{
	autofree char *note = note_path(d->part);
	autofree char *text = NULL, *shown = url_shown(d->url);
	size_t length;
	*ret = '\0';
	if (fs_read_file(note, 4096, &text, &length, NULL) < 0)
		return;
	autojson json_t *j = json_parse(text, length, NULL);
	if (str_eq(json_str_or(j, "url", ""), shown))
		snprintf(ret, size, "%s", json_str_or(j, "validator", ""));
}

int part_open(struct part *p, const struct download *d, struct err *err)
{
	struct stat st;
	*p = (struct part){.fd = open(d->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644)};
	if (p->fd < 0 || fstat(p->fd, &st) < 0)
		return err_sys(err, -errno, "cannot write %s", d->part);
	p->size = st.st_size;
	note_read(d, p->validator, sizeof(p->validator));
	bool usable = *p->validator && p->size <= (d->bytes ? d->bytes : d->limit);
	if (p->size > 0 && !usable)
		return part_begin(p, d, "", err);
	return lseek(p->fd, p->size, SEEK_SET) < 0 ? err_sys(err, -errno, "cannot write %s", d->part) : 0;
}

void part_close(struct part *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

int part_begin(struct part *p, const struct download *d, const char *validator, struct err *err)
{
	autofree char *note = note_path(d->part);
	unlink(note); /* first: a note never stands beside bytes of another file */
	if (ftruncate(p->fd, 0) < 0 || lseek(p->fd, 0, SEEK_SET) < 0)
		return err_sys(err, -errno, "cannot write %s", d->part);
	p->size = 0;
	snprintf(p->validator, sizeof(p->validator), "%s", validator);
	if (!*validator)
		return 0;
	autofree char *shown = url_shown(d->url);
	autojson json_t *j = json_pack("{ss, ss}", "url", shown, "validator", validator);
	autofree char *line = j ? json_line(j) : xstrdup("{}"); /* a validator that is not UTF-8 */
	return fs_write_file(note, line, strlen(line), 0644, err);
}

int part_append(struct part *p, const struct download *d, const void *bytes, size_t size, struct err *err)
{
	int r = fs_write_all(p->fd, bytes, size);
	if (r < 0)
		return err_sys(err, r, "cannot write %s", d->part);
	p->size += (int64_t)size;
	return 0;
}

/* --- files of this machine --- */

#define NAME_IT "\n  do this:  name the right file: --from FILE"

static int open_source(const char *path, int *ret_fd, int64_t *ret_bytes, struct err *err)
{
	struct stat st;
	autoclose int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe must not hold us */
	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = -errno;
		return err_set(err, r, "%s: %s" NAME_IT, path, strerror(-r));
	}
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s is not a file" NAME_IT, path);
	*ret_bytes = st.st_size;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int copy_local(struct download *d, const struct download_options *o, const char *path, struct err *err)
{
	autofree char *chunk = xmalloc(1 << 20);
	autoclose int from = -1;
	int64_t bytes = 0;
	struct part p = {.fd = -1};
	int r = open_source(path, &from, &bytes, err);
	if (r == 0 && ((d->bytes && bytes != d->bytes) || bytes > d->limit))
		return err_set(err, -EBADMSG,
			       "%s has %lld bytes, expected %lld: another file" NAME_IT, path, (long long)bytes, (long long)(d->bytes ? d->bytes : d->limit));
	if (r == 0)
		r = part_open(&p, d, err);
	if (r == 0)
		r = part_begin(&p, d, "", err);
	progress_begin(o->progress, d->name, bytes, 0);
	while (r == 0) {
		ssize_t n = read(from, chunk, 1 << 20);
		if (n <= 0) {
			r = n < 0 ? err_sys(err, -errno, "%s", path) : 0;
			break;
		}
		r = download_interrupted ? err_set(err, -EINTR, "interrupted")
					 : part_append(&p, d, chunk, (size_t)n, err);
		progress_update(o->progress, p.size);
	}
	progress_end(o->progress, p.size);
	part_close(&p);
	if (r < 0 && p.size == 0)
		download_forget(d->part);
	return r;
}

/* --- trying again --- */

/* -EINTR as soon as a person wants out. */
static int wait_s(double seconds, struct err *err)
{
	double until_s = monotonic_s() + seconds;
	for (double left_s = seconds; left_s > 0 && !download_interrupted; left_s = until_s - monotonic_s()) {
		struct timespec t = {.tv_sec = (time_t)left_s, .tv_nsec = (long)((left_s - floor(left_s)) * 1e9)};
		nanosleep(&t, NULL); /* a signal ends it */
	}
	return download_interrupted ? err_set(err, -EINTR, "interrupted") : 0;
}

/* After a request that may be tried again.  gained: it brought bytes. */
static int before_next(const struct download *d, const struct download_options *o, const struct part *p, bool gained,
		       int *failures, double retry_after_s, struct err *err)
{
	struct err why = *err;
	*failures = gained ? 1 : *failures + 1;
	if (*failures > o->retries)
		return err_set(
			err, -EIO,
			"%s\n  do this:  the same again: it goes on where it stopped; or another source: --mirror "
			"URL, --from FILE",
			why.text);
	double delay_s = MIN(MAX(o->retry_delay_s * pow(2, *failures - 1), retry_after_s), MAX_DELAY_S);
	progress_say(o->progress, "%s; %s (%d of %d)", why.text,
		     p->size > 0 && *p->validator ? "going on from there" : "trying again", *failures, o->retries);
	return wait_s(delay_s, err);
}

static int request_until_done(struct download *d, const struct download_options *o, struct part *p, struct err *err)
{
	int failures = 0, anew = 0;
	for (int i = 0; i < MAX_REQUESTS; i++) {
		int64_t before = p->size;
		double retry_after_s = 0;
		int r = -EIO;
		if (download_interrupted)
			return err_set(err, -EINTR, "interrupted");
		switch (download_http(d, o, p, &r, &retry_after_s, err)) {
		case OUTCOME_DONE:
			return 0;
		case OUTCOME_FAILED:
			return r;
		case OUTCOME_ANEW:
			r = anew++ ? err_set(err, -EBADMSG,
					     "%s: the server answers with another part than asked for, twice\n"
					     "  do this:  another source: --mirror URL, --from FILE",
					     d->name)
				   : part_begin(p, d, "", err);
			break;
		case OUTCOME_AGAIN:
			r = before_next(d, o, p, p->size > before, &failures, retry_after_s, err);
			break;
		}
		if (r < 0)
			return r;
	}
	return err_set(err, -EIO,
		       "%s: %d requests did not bring it\n  do this:  another source: --mirror URL, --from FILE",
		       d->name, MAX_REQUESTS);
}

int download(struct download *d, const struct download_options *o, struct err *err)
{
	autofree char *path = url_path(d->url);
	struct part p;
	d->resumed = false;
	d->sha256[0] = '\0';
	if (path)
		return copy_local(d, o, path, err);
	int r = part_open(&p, d, err);
	progress_begin(o->progress, d->name, d->expected, r == 0 ? p.size : 0);
	if (r == 0 && d->bytes && p.size == d->bytes)
		d->resumed = true; /* it was whole already */
	else if (r == 0)
		r = request_until_done(d, o, &p, err);
	progress_end(o->progress, p.size);
	part_close(&p);
	if (r < 0 && p.size == 0)
		download_forget(d->part);
	return r;
}
