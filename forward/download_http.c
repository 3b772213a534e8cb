/* See download.h: one request, what its answer means. */
#include "download_internal.h"

#include "http.h"

#include <curl/curl.h>
#include <limits.h>
#include <strings.h>

#define MAX_REDIRECTS 10L

/* Why the body was not taken. */
enum refusal { TAKEN, REFUSED_LENGTH, REFUSED_TOO_LONG, REFUSED_RANGE, REFUSED_BY_DISK };

struct transfer {
	struct download *d;
	const struct download_options *o;
	struct part *part;
	CURL *curl;
	char *shown; /* the address, for people */
	/* of the answer that is read now; a redirect is one too */
	char etag[256], modified[256];
	int64_t range_at, total; /* -1: not said */
	bool begun;              /* the body was looked at */
	bool wanted;             /* it is the file, not a page that says why there is none */
	enum refusal refusal;
	int code; /* of REFUSED_BY_DISK */
	struct err *err;
	char error[CURL_ERROR_SIZE];
};

/* --- the answer's head --- */

/* The value of a header line of that name, or NULL; blanks around it are not part of it. */
static const char *value_of(const char *line, const char *name, char *buf, size_t size)
{
	size_t length = strlen(name);
	if (strncasecmp(line, name, length) != 0 || line[length] != ':')
		return NULL;
	const char *value = line + length + 1 + strspn(line + length + 1, " \t");
	size_t end = strcspn(value, "\r\n");
	while (end && (value[end - 1] == ' ' || value[end - 1] == '\t'))
		end--;
	if (end >= size) /* too long to be of use */
		return NULL;
	snprintf(buf, size, "%.*s", (int)end, value);
	return buf;
}

/* "bytes 100-199/200", "bytes 0-9/" "*", "bytes " "*" "/200". */
static void take_range(struct transfer *t, const char *text)
{
	long long at = -1, total = -1;
	const char *slash = strchr(text, '/');
	if (strncasecmp(text, "bytes ", 6) != 0 || !slash)
		return;
	if (text[6] >= '0' && text[6] <= '9')
		at = strtoll(text + 6, NULL, 10);
	if (slash[1] >= '0' && slash[1] <= '9')
		total = strtoll(slash + 1, NULL, 10);
	t->range_at = at;
	t->total = total;
}

/* Quoted sha256: Hugging Face's, of the file behind the redirect. */
static void take_linked(struct transfer *t, const char *text)
{
	size_t digits = strspn(text + (*text == '"'), "0123456789abcdef");
	if (digits == 64)
		snprintf(t->d->sha256, sizeof(t->d->sha256), "%.64s", text + (*text == '"'));
}

static size_t on_header(char *bytes, size_t one, size_t size, void *arg)
{
	struct transfer *t = arg;
	char value[256];
	autofree char *line = xasprintf("%.*s", (int)size, bytes);
	if (strncmp(line, "HTTP/", 5) == 0) {
		t->etag[0] = t->modified[0] = '\0';
		t->range_at = t->total = -1;
	} else if (value_of(line, "ETag", value, sizeof(value))) {
		if (value[0] == '"') /* a weak one, W/"..", does not vouch for bytes */
			snprintf(t->etag, sizeof(t->etag), "%s", value);
	} else if (value_of(line, "Last-Modified", value, sizeof(value))) {
		snprintf(t->modified, sizeof(t->modified), "%s", value);
	} else if (value_of(line, "Content-Range", value, sizeof(value))) {
		take_range(t, value);
	} else if (value_of(line, "X-Linked-ETag", value, sizeof(value))) {
		take_linked(t, value);
	}
	return size;
}

static long status_of(const struct transfer *t)
{
	long status = 0;
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* What the whole file has, by this answer; -1: not said. */
static int64_t told_bytes(const struct transfer *t, long status)
{
	curl_off_t length = -1;
	if (status == 206)
		return t->total;
	curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	return length;
}

/* Before the first byte of the body: is it what PART lacks? */
static enum refusal begin_body(struct transfer *t)
{
	struct part *p = t->part;
	struct download *d = t->d;
	long status = status_of(t);
	t->wanted = status == 200 || status == 206;
	if (!t->wanted)
		return TAKEN;
	if (status == 206 && t->range_at != p->size)
		return REFUSED_RANGE;
	t->total = told_bytes(t, status);
	if (d->bytes && t->total >= 0 && t->total != d->bytes)
		return REFUSED_LENGTH;
	if (t->total > d->limit)
		return REFUSED_TOO_LONG;
	if (status == 206 && p->size > 0) {
		d->resumed = true;
		progress_say(t->o->progress, "%s: going on at %lld bytes", d->name, (long long)p->size);
		return TAKEN;
	}
	if (p->size > 0)
		progress_say(t->o->progress,
			     "%s: the server does not go on where it stopped (or has another file now); from the "
			     "begin",
			     d->name);
	d->resumed = false;
	t->code = part_begin(p, d, *t->etag ? t->etag : t->modified, t->err);
	if (!d->expected && t->total > 0)
		progress_begin(t->o->progress, d->name, t->total, 0);
	return t->code < 0 ? REFUSED_BY_DISK : TAKEN;
}

static size_t on_body(char *bytes, size_t one, size_t size, void *arg)
{
	struct transfer *t = arg;
	if (!t->begun)
		t->refusal = begin_body(t);
	t->begun = true;
	if (t->refusal != TAKEN)
		return 0;
	if (!t->wanted)
		return size;
	int64_t limit = t->d->bytes ? t->d->bytes : t->d->limit;
	if (t->part->size + (int64_t)size > limit) {
		t->refusal = REFUSED_TOO_LONG;
		return 0;
	}
	t->code = part_append(t->part, t->d, bytes, size, t->err);
	if (t->code < 0) {
		t->refusal = REFUSED_BY_DISK;
		return 0;
	}
	progress_update(t->o->progress, t->part->size);
	return size;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	return download_interrupted; /* not 0: curl ends the transfer */
}

/* --- what came of it --- */

static enum outcome judge_refusal(struct transfer *t, int *code, struct err *err)
{
	switch (t->refusal) {
	case REFUSED_RANGE:
		return OUTCOME_ANEW;
	case REFUSED_LENGTH:
		*code = err_set(
			err, -EBADMSG,
			"%s has %lld bytes, expected %lld: another file, or a page that a proxy or a login puts "
			"in its place\n  do this:  look at it in a browser; another source: --mirror URL, --from FILE",
			t->shown, (long long)t->total, (long long)t->d->bytes);
		return OUTCOME_FAILED;
	case REFUSED_TOO_LONG:
		*code = err_set(err, -EBADMSG,
				"%s sends more than the %lld bytes expected: another file\n  do this:  another source: "
				"--mirror URL, --from FILE",
				t->shown, (long long)(t->d->bytes ? t->d->bytes : t->d->limit));
		return OUTCOME_FAILED;
	case REFUSED_BY_DISK:
		*code = t->code;
		return OUTCOME_FAILED;
	case TAKEN:
		break;
	}
	BUG("no refusal");
}

static enum outcome judge_status(struct transfer *t, long status, int *code, double *retry_after_s, struct err *err)
{
	curl_off_t after = 0;
	int64_t have = t->part->size;
	if (status == 416 && have > 0) /* nothing behind what is there: all, or another file */
		return (t->d->bytes ? t->d->bytes : t->total) == have ? OUTCOME_DONE : OUTCOME_ANEW;
	if (status == 408 || status == 429 || status >= 500) {
		curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &after);
		*retry_after_s = (double)after;
		err_set(err, -EIO, "%s: the server answers %ld", t->shown, status);
		return OUTCOME_AGAIN;
	}
	const char *what = status == 404 || status == 410                    ? "is not there (any more)"
			   : status == 401 || status == 403 || status == 407 ? "is not given to us"
									     : "is answered strangely";
	*code = err_set(err, status == 404 || status == 410 ? -ENOENT : -EPROTO,
			"%s %s (HTTP %ld)\n  do this:  another source: --mirror URL, --from FILE", t->shown, what,
			status);
	return OUTCOME_FAILED;
}

/* Errors of curl's own: not reached, not trusted, broken off. */
static enum outcome judge_curl(struct transfer *t, CURLcode curl_code, int *code, struct err *err)
{
	const char *why = *t->error ? t->error : curl_easy_strerror(curl_code);
	switch (curl_code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		*code = err_set(
			err, -EPROTO,
			"%s: the server is not trusted: %s\n  do this:  check its name and this machine's clock; "
			"a lab's own authority: SSL_CERT_FILE=FILE; another source: --mirror URL, --from FILE",
			t->shown, why);
		return OUTCOME_FAILED;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		*code = err_set(err, -EINVAL,
				"%s: %s\n  expected: %s\n  do this:  another source: --mirror URL, --from FILE",
				t->shown, strstr(why, "HTTP/0.9") ? "what answers there does not speak HTTP" : why,
				t->o->https_only ? "https:// (no checksum is known that would vouch for the bytes)"
						 : "http://, https://, file:// or a path");
		return OUTCOME_FAILED;
	case CURLE_TOO_MANY_REDIRECTS:
		*code = err_set(err, -ELOOP,
				"%s: redirected more than %ld times\n  do this:  another source: --mirror URL, --from "
				"FILE",
				t->shown, MAX_REDIRECTS);
		return OUTCOME_FAILED;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
		if (t->part->size > 0 && t->d->resumed)
			break;
		*code = err_set(err, -EHOSTUNREACH,
				"cannot reach %s: %s\n  do this:  check the network, or https_proxy; a mirror: "
				"--mirror URL; a file you have: --from FILE",
				t->shown, why);
		return OUTCOME_FAILED;
	default:
		break;
	}
	err_set(err, -EIO, "%s: broke off after %lld bytes: %s", t->shown, (long long)t->part->size, why);
	return OUTCOME_AGAIN;
}

static enum outcome judge(struct transfer *t, CURLcode curl_code, int *code, double *retry_after_s, struct err *err)
{
	long status = status_of(t);
	int64_t all = t->d->bytes ? t->d->bytes : t->total;
	if (download_interrupted) {
		*code = err_set(err, -EINTR, "interrupted");
		return OUTCOME_FAILED;
	}
	if (curl_code == CURLE_OK && !t->begun) /* without a body */
		t->refusal = begin_body(t);
	if (t->refusal != TAKEN)
		return judge_refusal(t, code, err);
	if (curl_code != CURLE_OK)
		return judge_curl(t, curl_code, code, err);
	if (!t->wanted)
		return judge_status(t, status, code, retry_after_s, err);
	if (all > 0 && t->part->size < all) {
		err_set(err, -EIO, "%s: ended after %lld of %lld bytes", t->shown, (long long)t->part->size,
			(long long)all);
		return OUTCOME_AGAIN;
	}
	return OUTCOME_DONE;
}

/* --- */

static struct curl_slist *set_range(CURL *curl, const struct part *p)
{
	char range[32];
	if (p->size == 0)
		return NULL;
	snprintf(range, sizeof(range), "%lld-", (long long)p->size);
	curl_easy_setopt(curl, CURLOPT_RANGE, range);
	autofree char *line = xasprintf("If-Range: %s", p->validator);
	struct curl_slist *headers = curl_slist_append(NULL, line);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	return headers;
}

static void set_options(struct transfer *t)
{
	CURL *curl = t->curl;
	const char *protocols = t->o->https_only ? "https" : "http,https";
	http_defaults(curl);
	curl_easy_setopt(curl, CURLOPT_URL, t->d->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols);
	curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(curl, CURLOPT_MAXREDIRS, MAX_REDIRECTS);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)MIN(t->o->timeout_s, 20));
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)t->o->timeout_s);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->error);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

enum outcome download_http(struct download *d, const struct download_options *o, struct part *p, int *code,
			   double *retry_after_s, struct err *err)
{
	struct transfer t = {.d = d, .o = o, .part = p, .total = -1, .range_at = -1, .err = err};
	t.curl = curl_easy_init();
	INVARIANT(t.curl, "curl_easy_init");
	t.shown = url_shown(d->url);
	set_options(&t);
	struct curl_slist *headers = set_range(t.curl, p);
	CURLcode curl_code = curl_easy_perform(t.curl);
	enum outcome outcome = judge(&t, curl_code, code, retry_after_s, err);
	curl_slist_free_all(headers);
	curl_easy_cleanup(t.curl);
	free(t.shown);
	return outcome;
}
