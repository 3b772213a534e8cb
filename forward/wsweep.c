/* See wsweep.h. */
#include "wsweep_internal.h"

#include "about.h"
#include "graphql.h"
#include "retry.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"

#include <math.h>

#define GRAPHQL_TIMEOUT_MS 30000

static void nonce_of(const struct wsweep *ws, char nonce[WANDB_ID_SIZE])
{
	const struct sweep_row *row = &ws->row;
	const struct line_identity identity = {row->hash, row->submission, ws->id, row->submitted_ms, row->owner};
	line_run_id(nonce, &identity, -1);
}

/* --- its life --- */

static int read_settings(struct wsweep *ws, struct err *err)
{
	const char *own = WANDB_DEFAULT_BASE_URL;
	int r = wandb_settings_read(&ws->settings, ws->row.wandb, ws->row.project, err);
	if (r == 0 && !ws->settings.base_url)
		r = wandb_own_base_url(&own, err);
	if (r < 0)
		return err_prefix(err, r, "sweep s%lld", (long long)ws->id);
	free(ws->base_url);
	ws->base_url = wandb_base_url_plain(ws->settings.base_url ? ws->settings.base_url : own);
	replace(&ws->project, ws->row.there_project ? ws->row.there_project : ws->settings.project);
	replace(&ws->entity, ws->row.there_entity ? ws->row.there_entity : ws->settings.entity);
	replace(&ws->there, ws->row.there_name);
	replace(&ws->node, ws->row.there_node);
	replace(&ws->state, ws->row.there_state);
	replace(&ws->problem, ws->row.problem);
	return 0;
}

struct wsweep *wsweep_new(struct follow *f, int64_t sweep, struct err *err)
{
	struct wsweep *ws = xcalloc(1, sizeof(*ws));
	ws->follow = f;
	ws->id = sweep;
	int r = rows_sweep(f->rows, sweep, &ws->row, err);
	r = r ? r : read_settings(ws, err);
	if (r < 0) {
		wsweep_free(ws);
		return NULL;
	}
	ws->next = f->sweeps;
	f->sweeps = ws;
	return ws;
}

void wsweep_free(struct wsweep *ws)
{
	char *const texts[] = {ws->base_url, ws->entity, ws->project, ws->there,
			       ws->node,     ws->state,  ws->problem, ws->cursor};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
	wandb_key_fini(&ws->key);
	wandb_settings_fini(&ws->settings);
	sweep_row_fini(&ws->row);
	free(ws);
}

struct wsweep *wsweep_next(const struct wsweep *ws)
{
	return ws->next;
}

bool wsweep_is_ready(const struct wsweep *ws)
{
	return ws->step == STEP_READY;
}

void wsweep_facts(const struct wsweep *ws, struct wsweep_facts *ret)
{
	*ret = (struct wsweep_facts){
		.id = ws->id,
		.base_url = ws->base_url,
		.key = ws->key.key,
		.entity = ws->entity,
		.project = ws->project,
		.there = ws->there,
		.row = &ws->row,
		.settings = &ws->settings,
	};
}

char *wsweep_run_url(const struct wsweep *ws, const char *run_id)
{
	autofree char *page = wandb_page_url(ws->base_url, ws->entity, ws->project);
	return xasprintf("%s/runs/%s", page, run_id);
}

void wsweep_place(struct wsweep *ws, const char *entity, const char *project)
{
	if (entity && (!ws->entity || !str_eq(entity, ws->entity)))
		replace(&ws->entity, entity);
	if (project && !str_eq(project, ws->project))
		replace(&ws->project, project);
}

/* --- reports --- */

void wsweep_say(struct wsweep *ws)
{
	ws->said++;
	follow_poke(ws->follow);
}

json_t *wsweep_report(struct wsweep *ws)
{
	if (ws->said == ws->told)
		return NULL;
	ws->telling = ws->said;
	autofree char *page = wandb_page_url(ws->base_url, ws->entity, ws->project);
	autofree char *url = ws->there ? xasprintf("%s/sweeps/%s", page, ws->there) : xstrdup(page);
	return json_pack("{s:I, s:s?, s:s, s:s?, s:s?, s:s, s:s?, s:s?}", "sweep", (json_int_t)ws->id, "entity",
			 ws->entity, "project", ws->project, "name", ws->there, "node", ws->node, "url", url, "state", ws->state,
			 "problem", ws->problem);
}

void wsweep_reported(struct wsweep *ws, bool stored)
{
	if (stored)
		ws->told = ws->telling;
}

/* --- waiting for a person --- */

void wsweep_park(struct wsweep *ws, const char *why)
{
	if (!ws->problem || !str_eq(ws->problem, why)) { /* once */
		log_error("sweep s%lld: %s; its runs wait, training goes on", (long long)ws->id, why);
		free(ws->problem);
		ws->problem = xstrdup(why);
		wsweep_say(ws);
	}
	ws->step = STEP_KEY;
	ws->due_s = monotonic_s() + ws->follow->options.person_ms / 1000.0;
	follow_poke(ws->follow);
}

void wsweep_hurry(struct wsweep *ws)
{
	if (ws->problem)
		ws->due_s = 0;
	follow_poke(ws->follow);
}

static void is_well(struct wsweep *ws)
{
	ws->tries = 0;
	if (!ws->problem)
		return;
	log_info("sweep s%lld: its runs are sent", (long long)ws->id);
	replace(&ws->problem, NULL);
	wsweep_say(ws);
}

/* --- requests --- */

static void on_answer(void *arg, const struct http_response *r);

/* Consumes body. */
static void send_body(struct wsweep *ws, char *body)
{
	static const char *const headers[] = {"Content-Type: application/json", NULL};
	autofree char *owned = body;
	autofree char *url = xasprintf("%s/graphql", ws->base_url);
	const struct http_request q = {.method = "POST", .url = url, .key = ws->key.key, .headers = headers,
				       .body = owned, .size = strlen(owned), .timeout_ms = GRAPHQL_TIMEOUT_MS};
	ws->call = net_send(ws->follow->net, &q, on_answer, ws);
}

static bool find_key(struct wsweep *ws)
{
	struct err err;
	const struct wandb_key_places places = {ws->base_url, ws->row.file_dir, ws->follow->config_dir,
						(uid_t)ws->row.owner};
	wandb_key_fini(&ws->key);
	if (wandb_key_find(&places, &ws->key, &err) < 0) {
		wsweep_park(ws, err.text);
		return false;
	}
	if (ws->key.warning)
		log_warn("%s", ws->key.warning);
	ws->step = STEP_VIEWER;
	return true;
}

static void send_create(struct wsweep *ws)
{
	struct err err;
	char nonce[WANDB_ID_SIZE];
	struct wsweep_facts facts;
	nonce_of(ws, nonce);
	wsweep_facts(ws, &facts);
	autojson json_t *variables = about_sweep(ws->follow, &facts, nonce, &err);
	if (!variables) {
		log_error("sweep s%lld: %s", (long long)ws->id, err.text);
		ws->due_s = monotonic_s() + RETRY_MAX_S;
		return;
	}
	send_body(ws, graphql_upsert_sweep(variables));
}

static void send_state(struct wsweep *ws, const char *state)
{
	autojson json_t *variables = json_pack("{s:s, s:s?, s:s, s:s}", "id", ws->node, "entityName", ws->entity,
					       "projectName", ws->project, "state", state);
	ws->setting = state;
	send_body(ws, graphql_upsert_sweep(variables));
}

/* --- answers, by step --- */

static void become_ready(struct wsweep *ws)
{
	ws->step = STEP_READY;
	ws->due_s = monotonic_s() + ws->follow->options.poll_ms / 1000.0;
	is_well(ws);
}

static char *unknown_key(const struct wsweep *ws)
{
	return xasprintf("%s does not know the key from %s\n  do this:  sweepctl wandb login", ws->base_url, ws->key.source);
}

static void take_viewer(struct wsweep *ws, const struct graphql_answer *a)
{
	const char *entity = graphql_text(a, GRAPHQL_PATH("viewer", "entity"));
	if (!json_is_object(graphql_at(a, GRAPHQL_PATH("viewer")))) {
		autofree char *why = unknown_key(ws);
		wsweep_park(ws, why);
		return;
	}
	if (!ws->entity && entity)
		replace(&ws->entity, entity);
	is_well(ws);
	if (!json_array_size(ws->row.swept) || ws->there || ws->without)
		become_ready(ws);
	else
		ws->step = STEP_LOOKUP;
}

static void know(struct wsweep *ws, const json_t *node)
{
	replace(&ws->there, json_str_or(node, "name", NULL));
	replace(&ws->node, json_str_or(node, "id", NULL));
	replace(&ws->state, json_str_or(node, "state", "RUNNING"));
	wsweep_say(ws);
	become_ready(ws);
	log_info("sweep s%lld is sweep %s of %s/%s", (long long)ws->id, ws->there, ws->entity, ws->project);
}

static void take_list(struct wsweep *ws, const struct graphql_answer *a)
{
	size_t i;
	json_t *edge;
	char nonce[WANDB_ID_SIZE];
	nonce_of(ws, nonce);
	const json_t *sweeps = graphql_at(a, GRAPHQL_PATH("project", "sweeps"));
	json_array_foreach(json_object_get(sweeps, "edges"), i, edge) {
		const json_t *node = json_object_get(edge, "node");
		if (strstr(json_str_or(node, "description", ""), nonce)) {
			know(ws, node);
			return;
		}
	}
	const json_t *page = json_object_get(sweeps, "pageInfo");
	bool more = json_bool_or(page, "hasNextPage", false);
	replace(&ws->cursor, more ? json_str_or(page, "endCursor", NULL) : NULL);
	if (!ws->cursor)
		ws->step = STEP_CREATE;
}

static void take_answer(struct wsweep *ws, const struct graphql_answer *a)
{
	switch (ws->step) {
	case STEP_KEY:
		break;
	case STEP_VIEWER:
		take_viewer(ws, a);
		break;
	case STEP_LOOKUP:
		take_list(ws, a);
		break;
	case STEP_CREATE: {
		const json_t *sweep = graphql_at(a, GRAPHQL_PATH("upsertSweep", "sweep"));
		if (json_str_or(sweep, "name", NULL))
			know(ws, sweep);
		else
			ws->step = STEP_LOOKUP;
		break;
	}
	case STEP_READY:
		if (ws->setting) {
			replace(&ws->state, ws->setting);
			wsweep_say(ws);
		} else {
			wsweep_take_state(ws, graphql_text(a, GRAPHQL_PATH("project", "sweep", "state")));
		}
		ws->setting = NULL;
		ws->due_s = monotonic_s() + ws->follow->options.poll_ms / 1000.0;
		is_well(ws);
		break;
	}
}

static char *refusal(const struct wsweep *ws, const struct http_response *r, const struct graphql_answer *a)
{
	if (r->failure != HTTP_ANSWERED)
		return xasprintf("%s: %s", ws->base_url, r->error);
	if (r->status == 401)
		return unknown_key(ws);
	return xasprintf("%s refuses %s/%s: %s (HTTP %d)", ws->base_url, ws->entity ? ws->entity : "(your own)",
			 ws->project, a->message ? a->message : "no reason given", r->status);
}

/* What a sweep needs and cannot get is no reason to keep its runs. */
static void go_without(struct wsweep *ws, const char *why)
{
	if (!ws->without)
		log_warn("sweep s%lld has no page of its own: %s", (long long)ws->id, why);
	ws->without = true;
	ws->setting = NULL;
	become_ready(ws);
}

static void on_answer(void *arg, const struct http_response *r)
{
	struct wsweep *ws = arg;
	struct graphql_answer a;
	ws->call = NULL;
	graphql_read(&a, r->body, r->size);
	autofree char *why = refusal(ws, r, &a);
	switch (retry_judge(RETRY_GRAPHQL, r, a.errors, a.permission)) {
	case RETRY_DONE:
		take_answer(ws, &a);
		break;
	case RETRY_AGAIN:
		ws->tries++;
		if (ws->step == STEP_CREATE) /* it may have been made */
			ws->step = STEP_LOOKUP;
		ws->setting = NULL;
		ws->due_s = monotonic_s() +
			    retry_wait_s(ws->tries, ws->follow->options.retry_ms / 1000.0, r->retry_after_s, drand48());
		break;
	case RETRY_PERSON:
		wsweep_park(ws, why);
		break;
	case RETRY_REFUSED:
		if (ws->step == STEP_VIEWER)
			wsweep_park(ws, why);
		else
			go_without(ws, why);
		break;
	}
	graphql_fini(&a);
	follow_poke(ws->follow);
}

/* --- acting --- */

static void act(struct wsweep *ws)
{
	switch (ws->step) {
	case STEP_KEY:
	case STEP_VIEWER:
		send_body(ws, graphql_viewer());
		break;
	case STEP_LOOKUP:
		send_body(ws, graphql_list_sweeps(ws->entity, ws->project, ws->cursor));
		break;
	case STEP_CREATE:
		send_create(ws);
		break;
	case STEP_READY: {
		const char *state = wsweep_wanted_state(ws);
		if (state)
			send_state(ws, state);
		else
			send_body(ws, graphql_sweep(ws->entity, ws->project, ws->there));
		break;
	}
	}
}

double wsweep_tick(struct wsweep *ws, double now_s)
{
	double when_s;
	if (ws->call)
		return INFINITY;
	if (now_s < ws->due_s)
		return ws->due_s;
	if (ws->step == STEP_READY && (!ws->there || ws->without))
		return INFINITY;
	if (ws->step == STEP_READY && !ws->reopened && wsweep_is_over(ws))
		return INFINITY;
	if (ws->step == STEP_KEY && !find_key(ws))
		return ws->due_s;
	if (!net_take(ws->follow->net, now_s, &when_s))
		return when_s;
	act(ws);
	return ws->call ? INFINITY : ws->due_s;
}
