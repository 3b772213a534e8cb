/* See upload.h. */
#include "upload.h"

#include "graphql.h"
#include "retry.h"

#include "common/json.h"

#include <math.h>

#define GRAPHQL_TIMEOUT_MS 30000
#define HEADERS_MAX        16

struct upload {
	struct follow *follow;
	struct upload_files files;
	char *base_url, *key; /* the key: for places on the server itself */
	json_t *answer;       /* createRunFiles */
	size_t next;          /* file to put */
	struct http_call *call;
	uv_timer_t *timer; /* waits for a turn in the net */
	upload_done done;
	void *arg;
};

void upload_add(struct upload_files *files, const char *name, char *bytes, size_t size)
{
	if (!bytes)
		return;
	INVARIANT(files->n < UPLOAD_FILES_MAX, "more than %d files of a run", UPLOAD_FILES_MAX);
	files->items[files->n++] = (struct upload_file){name, bytes, size};
}

void upload_files_fini(struct upload_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		free(files->items[i].bytes);
	files->n = 0;
}

static void on_freed(uv_handle_t *handle)
{
	free(handle);
}

void upload_free(struct upload *u)
{
	if (!u)
		return;
	uv_close((uv_handle_t *)u->timer, on_freed);
	upload_files_fini(&u->files);
	json_decref(u->answer);
	free(u->base_url);
	if (u->key)
		explicit_bzero(u->key, strlen(u->key));
	free(u->key);
	free(u);
}

static void finish(struct upload *u, enum upload_outcome outcome, double retry_after_s, const char *why)
{
	upload_done done = u->done;
	void *arg = u->arg;
	autofree char *text = xstrdup(why);
	upload_free(u);
	done(arg, outcome, retry_after_s, text);
}

/* false: it is not done; the caller hears of it. */
static bool check(struct upload *u, enum retry_channel channel, const struct http_response *r,
		  const struct graphql_answer *a)
{
	static const enum upload_outcome outcomes[] = {
		[RETRY_DONE] = UPLOAD_DONE,
		[RETRY_AGAIN] = UPLOAD_AGAIN,
		[RETRY_PERSON] = UPLOAD_PERSON,
		[RETRY_REFUSED] = UPLOAD_REFUSED,
	};
	enum retry_verdict verdict = retry_judge(channel, r, a && a->errors, a && a->permission);
	if (verdict == RETRY_DONE)
		return true;
	autofree char *why = r->failure == HTTP_ANSWERED
				     ? xasprintf("HTTP %d%s%s", r->status, a && a->message ? ": " : "",
						 a && a->message ? a->message : "")
				     : xstrdup(r->error);
	finish(u, outcomes[verdict], r->retry_after_s, why);
	return false;
}

static void put_next(struct upload *u);

static void on_put(void *arg, const struct http_response *r)
{
	struct upload *u = arg;
	u->call = NULL;
	if (!check(u, RETRY_UPLOAD, r, NULL))
		return;
	if (++u->next == u->files.n)
		finish(u, UPLOAD_DONE, NAN, "");
	else
		put_next(u);
}

/* Where the file of that name goes, or NULL. */
static const char *place_of(const struct upload *u, const char *name)
{
	size_t i;
	json_t *file;
	json_array_foreach(json_object_get(u->answer, "files"), i,
			   file) if (str_eq(json_str_or(file, "name", ""), name)) return json_str_or(file, "uploadUrl",
												     NULL);
	return NULL;
}

static void send_put(struct upload *u)
{
	size_t i, n = 0;
	json_t *header;
	const struct upload_file *file = &u->files.items[u->next];
	const char *place = place_of(u, file->name), *headers[HEADERS_MAX + 1];
	if (!place) {
		finish(u, UPLOAD_REFUSED, NAN, "the server names no place for a file");
		return;
	}
	json_array_foreach(json_object_get(u->answer, "uploadHeaders"), i,
			   header) if (json_is_string(header) && n < HEADERS_MAX) headers[n++] =
		json_string_value(header);
	headers[n] = NULL;
	bool relative = place[0] == '/';
	autofree char *url = xasprintf("%s%s", relative ? u->base_url : "", place);
	const struct http_request q = {.method = "PUT",
				       .url = url,
				       .key = relative ? u->key : NULL,
				       .headers = headers,
				       .body = file->bytes,
				       .size = file->size};
	u->call = net_send(u->follow->net, &q, on_put, u);
}

static void on_turn(uv_timer_t *timer)
{
	put_next(timer->data);
}

static void put_next(struct upload *u)
{
	double when_s, now_s = (double)uv_now(&u->follow->loop) / 1000;
	if (net_take(u->follow->net, now_s, &when_s)) {
		send_put(u);
		return;
	}
	double wait_s = isfinite(when_s) ? when_s - now_s : 0.05;
	uv_timer_start(u->timer, on_turn, (uint64_t)(MIN(MAX(wait_s, 0.01), 60) * 1000), 0);
}

static void on_created(void *arg, const struct http_response *r)
{
	struct upload *u = arg;
	struct graphql_answer a;
	u->call = NULL;
	graphql_read(&a, r->body, r->size);
	if (check(u, RETRY_GRAPHQL, r, &a)) {
		u->answer = json_incref(graphql_at(&a, GRAPHQL_PATH("createRunFiles")));
		put_next(u);
	}
	graphql_fini(&a);
}

struct upload *upload_begin(struct follow *f, const struct wsweep_facts *ws, const char *run_id,
			    struct upload_files *files, upload_done done, void *arg)
{
	static const char *const headers[] = {"Content-Type: application/json", NULL};
	struct upload *u = xcalloc(1, sizeof(*u));
	u->follow = f;
	u->files = *files;
	*files = (struct upload_files){0};
	u->base_url = xstrdup(ws->base_url);
	u->key = xstrdup(ws->key);
	u->done = done;
	u->arg = arg;
	u->timer = xcalloc(1, sizeof(*u->timer));
	uv_timer_init(&f->loop, u->timer);
	u->timer->data = u;
	json_t *names = json_array();
	for (size_t i = 0; i < u->files.n; i++)
		json_array_append_new(names, json_string(u->files.items[i].name));
	autojson json_t *variables = json_pack("{s:s?, s:s, s:s, s:o}", "entity", ws->entity, "project", ws->project,
					       "run", run_id, "files", names);
	autofree char *body = graphql_create_files(variables);
	autofree char *url = xasprintf("%s/graphql", u->base_url);
	const struct http_request q = {.method = "POST",
				       .url = url,
				       .key = u->key,
				       .headers = headers,
				       .body = body,
				       .size = strlen(body),
				       .timeout_ms = GRAPHQL_TIMEOUT_MS};
	u->call = net_send(f->net, &q, on_created, u);
	return u;
}
