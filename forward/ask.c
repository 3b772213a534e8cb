/* See ask.h. */
#include "ask.h"

#include "retry.h"

#include "common/wandb.h"

#include <math.h>
#include <time.h>

#define TRIES      4
#define TIMEOUT_MS 20000
#define FIRST_S    0.5

struct answer {
	bool there;
	struct http_response response;
	char *body;
};

static void on_done(void *arg, const struct http_response *r)
{
	struct answer *a = arg;
	a->there = true;
	a->response = *r;
	a->body = xasprintf("%s", r->body ? r->body : "");
}

int ask_open(struct ask *a, const char *base_url, const char *key, struct err *err)
{
	*a = (struct ask){.base_url = base_url, .key = key};
	int r = uv_loop_init(&a->loop);
	if (r < 0)
		return err_set(err, r, "no event loop: %s", uv_strerror(r));
	r = http_new(&a->http, &a->loop, err);
	if (r < 0)
		uv_loop_close(&a->loop);
	return r;
}

void ask_close(struct ask *a)
{
	http_close(a->http);
	uv_run(&a->loop, UV_RUN_DEFAULT);
	http_free(a->http);
	uv_loop_close(&a->loop);
}

static void once(struct ask *a, const char *url, const char *body, struct answer *ret)
{
	static const char *const headers[] = {"Content-Type: application/json", NULL};
	struct http_request request = {
		.method = "POST",
		.url = url,
		.key = a->key,
		.headers = headers,
		.body = body,
		.size = strlen(body),
		.timeout_ms = TIMEOUT_MS,
	};
	*ret = (struct answer){.there = false};
	http_send(a->http, &request, on_done, ret);
	while (!ret->there)
		uv_run(&a->loop, UV_RUN_ONCE);
}

static void wait_s(double s)
{
	struct timespec t = {(time_t)s, (long)((s - floor(s)) * 1e9)};
	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static int failed(const struct ask *a, const struct http_response *r, enum retry_verdict verdict, const char *message,
		  struct err *err)
{
	if (r->failure == HTTP_ANSWERED && verdict == RETRY_PERSON)
		return err_set(err, -EACCES, "%s does not take this key%s%s", a->base_url, message ? ": " : "",
			       message ? message : "");
	if (r->failure == HTTP_ANSWERED)
		return err_set(err, -EPROTO, "%s answers with status %d%s%s", a->base_url, r->status,
			       message ? ": " : "", message ? message : "");
	return err_set(err, -EHOSTUNREACH, "%s is not reached: %s", a->base_url, r->error);
}

/* Fills answer (the last one); its body is the caller's. */
static int ask(struct ask *a, enum retry_channel channel, const char *url, const char *body, struct answer *ret,
	       struct graphql_answer *read, struct err *err)
{
	for (int tries = 1;; tries++) {
		once(a, url, body, ret);
		const struct http_response *r = &ret->response;
		graphql_read(read, ret->body, strlen(ret->body));
		bool errors = channel == RETRY_GRAPHQL && r->failure == HTTP_ANSWERED && (read->errors || !read->data);
		enum retry_verdict verdict = retry_judge(channel, r, errors, read->permission);
		if (verdict == RETRY_DONE)
			return 0;
		if (verdict != RETRY_AGAIN || tries == TRIES) {
			int e = failed(a, r, verdict, read->message, err);
			graphql_fini(read);
			free(ret->body);
			return e;
		}
		graphql_fini(read);
		free(ret->body);
		wait_s(retry_wait_s(tries, FIRST_S, r->retry_after_s, 0.5));
	}
}

int ask_graphql(struct ask *a, const char *body, struct graphql_answer *ret, struct err *err)
{
	struct answer answer;
	autofree char *plain = wandb_base_url_plain(a->base_url), *url = xasprintf("%s/graphql", plain);
	int r = ask(a, RETRY_GRAPHQL, url, body, &answer, ret, err);
	if (r == 0)
		free(answer.body);
	return r;
}

int ask_stream(struct ask *a, const char *url, const char *body, struct err *err)
{
	struct answer answer;
	struct graphql_answer read;
	int r = ask(a, RETRY_STREAM, url, body, &answer, &read, err);
	if (r < 0)
		return r;
	graphql_fini(&read);
	free(answer.body);
	return 0;
}
