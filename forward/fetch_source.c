/* See fetch_internal.h: one file, from the first address that gives the right one. */
#include "fetch_internal.h"

#include "common/digest.h"

#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNKNOWN_LIMIT ((int64_t)4 << 30) /* of a file whose size nobody told */

char *fetch_part(const struct fetch *f, size_t i)
{
	return xasprintf("%s/%s.%s.part", f->work, f->item->name, f->item->sources[i].file);
}

/* --- addresses --- */

struct urls {
	char *items[64];
	size_t n;
};

static void urls_fini(struct urls *u)
{
	for (size_t i = 0; i < u->n; i++)
		free(u->items[i]);
}
#define auto_urls __attribute__((cleanup(urls_fini)))

/* Consumes url. */
static void add(struct urls *u, char *url)
{
	if (u->n < ARRAY_LEN(u->items))
		u->items[u->n++] = url;
	else
		free(url);
}

static bool ends_with_slash(const char *url)
{
	return *url && url[strlen(url) - 1] == '/';
}

static char *in_base(const char *base, size_t size, const char *file)
{
	while (size > 1 && base[size - 1] == '/')
		size--;
	return xasprintf("%.*s/%s", (int)size, base, file);
}

/* --from: a file, or the directory or base address that has it. */
static char *from_url(const char *from, const char *file)
{
	struct stat st;
	autofree char *path = url_path(from);
	if (ends_with_slash(from) || (path && stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
		return in_base(from, strlen(from), file);
	return xstrdup(from);
}

static void list_urls(const struct fetch *f, const struct catalogue_source *s, struct urls *ret)
{
	if (f->o->from) {
		add(ret, from_url(f->o->from, s->file));
		return;
	}
	for (size_t i = 0; i < f->o->n_mirrors; i++)
		add(ret, in_base(f->o->mirrors[i], strlen(f->o->mirrors[i]), s->file));
	const char *list = getenv("SWEEPD_MIRROR");
	for (list += list ? strspn(list, " ") : 0; list && *list; list += strspn(list, " ")) {
		size_t size = strcspn(list, " ");
		add(ret, in_base(list, size, s->file));
		list += size;
	}
	for (size_t i = 0; i < s->n_urls; i++)
		add(ret, ends_with_slash(s->urls[i]) ? xasprintf("%s%s", s->urls[i], s->file) : xstrdup(s->urls[i]));
}

/* --- is it the right one? --- */

static bool sum_is_known(const struct catalogue_sum *sum)
{
	return *sum->md5 || *sum->sha256;
}

/* The content that source i is, as .gz; NULL: the source's own sum decides. */
static const struct catalogue_content *content_of(const struct catalogue_item *item, size_t i)
{
	return item->kind == PLACE_DATASETS && !item->archive ? &item->contents[i] : NULL;
}

/* A page in place of the file is what proxies and logins give. */
static bool is_web_page(const char *path)
{
	char begin[16] = "";
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, begin, sizeof(begin) - 1) <= 0)
		return false;
	const char *text = begin + strspn(begin, " \t\r\n");
	return strncasecmp(text, "<!doctype", 9) == 0 || strncasecmp(text, "<html", 5) == 0 ||
	       strncasecmp(text, "<?xml", 5) == 0;
}

/* Gzip of the same content differs from tool to tool: where the content is known, it decides. */
static int check(const struct fetch *f, size_t i, const struct download *d, struct err *err)
{
	const struct catalogue_content *content = content_of(f->item, i);
	struct catalogue_sum sum = content ? content->sum : f->item->sources[i].sum;
	struct digest digest;
	int64_t limit = content ? content->sum.bytes : d->limit;
	if (!content && !sum_is_known(&sum))
		snprintf(sum.sha256, sizeof(sum.sha256), "%s", d->sha256);
	int r = digest_file(d->part, content != NULL, digest_needed(&sum), limit, &digest, err);
	if (r == -EFBIG)
		return err_set(err, -EBADMSG, "holds more than the %lld bytes expected", (long long)limit);
	if (r == -EBADMSG)
		return err_set(err, r, "is damaged gzip data");
	return r < 0 ? r : digest_check(&digest, &sum, err);
}

static int check_and_say(const struct fetch *f, size_t i, const struct download *d, struct err *err)
{
	int r = check(f, i, d, err);
	if (r != -EBADMSG)
		return r;
	autofree char *shown = url_shown(d->url);
	struct err why = *err;
	err_set(err, r, "%s is not the known file: it %s%s\n  do this:  another source: --mirror URL, --from FILE",
		shown, why.text, is_web_page(d->part) ? "; it is a web page, of a proxy or a login perhaps" : "");
	return r;
}

/* --- */

static struct download describe(const struct fetch *f, size_t i, const char *url, const char *part)
{
	const struct catalogue_source *s = &f->item->sources[i];
	const struct catalogue_content *content = content_of(f->item, i);
	return (struct download){
		.url = url,
		.name = s->file,
		.part = part,
		.bytes = content ? 0 : s->sum.bytes,
		.limit = content        ? content->sum.bytes + content->sum.bytes / 100 + 65536
			 : s->sum.bytes ? s->sum.bytes
					: UNKNOWN_LIMIT,
		.expected = s->sum.bytes,
	};
}

/* One address: a wrong sum of a file that was put together from two requests gets one more try, in one piece. */
static int try_url(const struct fetch *f, size_t i, const char *url, const char *part, struct err *err)
{
	const struct catalogue_source *s = &f->item->sources[i];
	struct download_options o = f->o->download;
	o.https_only = !content_of(f->item, i) && !sum_is_known(&s->sum);
	for (int n = 0;; n++) {
		struct download d = describe(f, i, url, part);
		int r = download(&d, &o, err);
		if (r < 0)
			return r;
		r = check_and_say(f, i, &d, err);
		if (r == 0 && o.https_only && !*d.sha256)
			progress_say(o.progress,
				     "%s: no checksum of it is known: its length and https:// are all that was checked",
				     s->file);
		if (r != -EBADMSG)
			return r;
		download_forget(part);
		if (!d.resumed || n)
			return r;
		progress_say(o.progress,
			     "%s: put together from two requests it is not the known file; once more from the begin",
			     s->file);
	}
}

/* Errors of this machine, which another address does not mend. */
static bool is_ours(int r)
{
	return r == -EINTR || r == -ENOSPC || r == -EDQUOT || r == -EROFS || r == -EFBIG;
}

int fetch_source(struct fetch *f, size_t i, struct err *err)
{
	const struct catalogue_source *s = &f->item->sources[i];
	autofree char *part = fetch_part(f, i);
	auto_urls struct urls urls = {0};
	list_urls(f, s, &urls);
	int r = err_set(err, -ENOENT, "%s: no address is known\n  do this:  --mirror URL, --from FILE", s->file);
	for (size_t k = 0; k < urls.n; k++) {
		if (k) {
			autofree char *shown = url_shown(urls.items[k]);
			progress_say(f->o->download.progress, "%.*s\n%s: trying %s", (int)strcspn(err->text, "\n"),
				     err->text, s->file, shown);
		}
		r = try_url(f, i, urls.items[k], part, err);
		if (r == 0 && !f->source)
			f->source = url_shown(urls.items[k]);
		if (r == 0 || is_ours(r))
			break;
	}
	return r;
}
