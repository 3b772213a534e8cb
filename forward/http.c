/* See http.h.  curl tells which sockets to watch and when to call again; libuv does both. */
#include "http.h"

#include "common/log.h"

#include <curl/curl.h>
#include <math.h>
#include <strings.h>

#define CONNECT_TIMEOUT_S    20L
#define STILL_TIMEOUT_S      60L /* without a byte, where the whole has no limit */
#define CONNECTIONS_PER_HOST 8L

struct http {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t timer;
	struct http_call *calls;
	size_t n;
	bool closed;
};

struct http_call {
	struct http *http;
	CURL *curl;
	struct curl_slist *headers;
	char *body, *answer;
	size_t size;
	bool too_long;
	char error[CURL_ERROR_SIZE];
	http_done done;
	void *arg;
	struct http_call *next, **prev;
};

struct watched { /* a socket of curl's */
	uv_poll_t poll;
	struct http *http;
	curl_socket_t fd;
};

void http_defaults(void *handle)
{
	CURL *curl = handle;
	const char *bundle = getenv("SSL_CERT_FILE");
	bundle = bundle && *bundle ? bundle : getenv("REQUESTS_CA_BUNDLE");
	if (bundle && *bundle)
		curl_easy_setopt(curl, CURLOPT_CAINFO, bundle);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "sweepd/" SWEEPD_VERSION);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
}

/* --- sockets and the timer --- */

static void take_finished(struct http *http);

static void on_watched_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watched *w = poll->data;
	struct http *http = w->http;
	int running,
		flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
	curl_multi_socket_action(http->multi, w->fd, status < 0 ? CURL_CSELECT_ERR : flags, &running);
	take_finished(http);
}

static int on_socket(CURL *curl, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http *http = arg;
	struct watched *w = socket_arg;
	if (what == CURL_POLL_REMOVE) {
		if (!w)
			return 0;
		uv_poll_stop(&w->poll);
		uv_close((uv_handle_t *)&w->poll, on_watched_closed);
		curl_multi_assign(http->multi, fd, NULL);
		return 0;
	}
	if (!w) {
		w = xcalloc(1, sizeof(*w));
		w->http = http;
		w->fd = fd;
		if (uv_poll_init_socket(http->loop, &w->poll, fd) < 0) {
			free(w);
			return -1;
		}
		w->poll.data = w;
		curl_multi_assign(http->multi, fd, w);
	}
	int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	uv_poll_start(&w->poll, events, on_ready);
	return 0;
}

static void on_timer(uv_timer_t *timer)
{
	struct http *http = timer->data;
	int running;
	curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_finished(http);
}

static int on_timeout(CURLM *multi, long timeout_ms, void *arg)
{
	struct http *http = arg;
	if (timeout_ms < 0 || http->closed)
		uv_timer_stop(&http->timer);
	else
		uv_timer_start(&http->timer, on_timer, (uint64_t)timeout_ms, 0);
	return 0;
}

/* --- a call --- */

static size_t on_bytes(char *bytes, size_t one, size_t size, void *arg)
{
	struct http_call *call = arg;
	if (call->size + size > HTTP_ANSWER_MAX) {
		call->too_long = true;
		return 0;
	}
	call->answer = xrealloc_array(call->answer, call->size + size + 1, 1);
	memcpy(call->answer + call->size, bytes, size);
	call->size += size;
	call->answer[call->size] = '\0';
	return size;
}

static void call_free(struct http_call *call)
{
	*call->prev = call->next;
	if (call->next)
		call->next->prev = call->prev;
	call->http->n--;
	curl_multi_remove_handle(call->http->multi, call->curl);
	curl_easy_cleanup(call->curl);
	curl_slist_free_all(call->headers);
	free(call->body);
	free(call->answer);
	free(call);
}

static const char *header_of(CURL *curl, const char *name)
{
	struct curl_header *header;
	return curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : NULL;
}

static double number_header(CURL *curl, const char *name)
{
	const char *text = header_of(curl, name);
	char *end;
	double value = text ? strtod(text, &end) : NAN;
	return text && end != text && isfinite(value) && value >= 0 ? value : NAN;
}

/* "12.5", or a date. */
static double retry_after_s(CURL *curl)
{
	const char *text = header_of(curl, "Retry-After");
	double value = number_header(curl, "Retry-After");
	if (!text || !isnan(value))
		return value;
	time_t at = curl_getdate(text, NULL);
	return at < 0 ? NAN : MAX(difftime(at, time(NULL)), 0);
}

static enum http_failure failure_of(const struct http_call *call, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return HTTP_ANSWERED;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		return HTTP_UNTRUSTED;
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
		return HTTP_UNREACHED;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_OUT_OF_MEMORY:
		return HTTP_UNUSABLE;
	default:
		return call->too_long ? HTTP_UNUSABLE : HTTP_BROKEN;
	}
}

static void finish(struct http_call *call, CURLcode code)
{
	long status = 0;
	struct http_response r = {.failure = failure_of(call, code)};
	curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
	r.status = (int)status;
	r.body = call->answer ? call->answer : "";
	r.size = call->size;
	r.retry_after_s = retry_after_s(call->curl);
	r.rate_remaining = number_header(call->curl, "RateLimit-Remaining");
	r.rate_reset_s = number_header(call->curl, "RateLimit-Reset");
	if (call->too_long)
		snprintf(r.error, sizeof(r.error), "the answer is longer than %d bytes", HTTP_ANSWER_MAX);
	else if (code != CURLE_OK)
		snprintf(r.error, sizeof(r.error), "%s", *call->error ? call->error : curl_easy_strerror(code));
	call->done(call->arg, &r);
	call_free(call);
}

static void take_finished(struct http *http)
{
	CURLMsg *message;
	int left;
	while (!http->closed && (message = curl_multi_info_read(http->multi, &left))) {
		struct http_call *call;
		if (message->msg != CURLMSG_DONE)
			continue;
		CURLcode code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		finish(call, code);
	}
}

static void set_body(struct http_call *call, const struct http_request *q)
{
	if (!q->body && !str_eq(q->method, "PUT") && !str_eq(q->method, "POST"))
		return;
	call->body = xcalloc(q->size + 1, 1);
	if (q->size)
		memcpy(call->body, q->body, q->size);
	curl_easy_setopt(call->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(call->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->size);
	curl_easy_setopt(call->curl, CURLOPT_POSTFIELDS, call->body);
}

static void set_headers(struct http_call *call, const struct http_request *q)
{
	call->headers = curl_slist_append(call->headers, "Expect:"); /* no round trip before a body */
	bool typed = false;
	for (size_t i = 0; q->headers && q->headers[i]; i++) {
		typed = typed || strncasecmp(q->headers[i], "Content-Type:", strlen("Content-Type:")) == 0;
		call->headers = curl_slist_append(call->headers, q->headers[i]);
	}
	if (call->body && !typed) /* not curl's own, of a form */
		call->headers = curl_slist_append(call->headers, "Content-Type:");
	curl_easy_setopt(call->curl, CURLOPT_HTTPHEADER, call->headers);
	if (q->key) {
		curl_easy_setopt(call->curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl_easy_setopt(call->curl, CURLOPT_USERNAME, "api");
		curl_easy_setopt(call->curl, CURLOPT_PASSWORD, q->key);
	}
}

struct http_call *http_send(struct http *http, const struct http_request *q, http_done done, void *arg)
{
	struct http_call *call = xcalloc(1, sizeof(*call));
	call->http = http;
	call->done = done;
	call->arg = arg;
	call->curl = curl_easy_init();
	INVARIANT(call->curl, "curl_easy_init");
	call->next = http->calls;
	call->prev = &http->calls;
	if (http->calls)
		http->calls->prev = &call->next;
	http->calls = call;
	http->n++;
	http_defaults(call->curl);
	set_body(call, q);
	set_headers(call, q);
	curl_easy_setopt(call->curl, CURLOPT_URL, q->url);
	curl_easy_setopt(call->curl, CURLOPT_CUSTOMREQUEST, q->method);
	curl_easy_setopt(call->curl, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
	if (!q->timeout_ms) {
		curl_easy_setopt(call->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(call->curl, CURLOPT_LOW_SPEED_TIME, STILL_TIMEOUT_S);
	}
	curl_easy_setopt(call->curl, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(call->curl, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(call->curl, CURLOPT_ERRORBUFFER, call->error);
	curl_easy_setopt(call->curl, CURLOPT_PRIVATE, call);
	CURLMcode code = curl_multi_add_handle(http->multi, call->curl);
	INVARIANT(code == CURLM_OK, "curl_multi_add_handle: %s", curl_multi_strerror(code));
	return call;
}

size_t http_in_flight(const struct http *http)
{
	return http->n;
}

/* --- its life --- */

int http_new(struct http **ret, uv_loop_t *loop, struct err *err)
{
	CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
	if (code != CURLE_OK)
		return err_set(err, -EIO, "libcurl does not start: %s", curl_easy_strerror(code));
	struct http *http = xcalloc(1, sizeof(*http));
	http->loop = loop;
	http->multi = curl_multi_init();
	INVARIANT(http->multi, "curl_multi_init");
	uv_timer_init(loop, &http->timer);
	http->timer.data = http;
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS, CONNECTIONS_PER_HOST);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_PER_HOST);
	*ret = http;
	return 0;
}

void http_close(struct http *http)
{
	if (http->closed)
		return;
	http->closed = true;
	while (http->calls)
		call_free(http->calls);
	curl_multi_cleanup(http->multi); /* its sockets are given back here */
	uv_close((uv_handle_t *)&http->timer, NULL);
}

void http_free(struct http *http)
{
	if (!http)
		return;
	free(http);
	curl_global_cleanup();
}
