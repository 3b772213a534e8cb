/* See sweep_jobs.h. */
#include "sweep_jobs.h"

#include "json.h"

#include <sha2.h>

/* --- the values --- */

static int by_row(const void *a, const void *b)
{
	const struct varying *x = a, *y = b;
	return x->param < y->param ? -1 : x->param > y->param;
}

static struct varying *find(const struct sweep_jobs *jobs, const struct param *param)
{
	for (size_t i = 0; i < jobs->n_varying; i++)
		if (jobs->varying[i].param == param)
			return &jobs->varying[i];
	return NULL;
}

static void add_values(struct varying *v, const struct choice *c)
{
	v->values = xrealloc_array(v->values, v->n + c->n, sizeof(v->values[0]));
	v->texts = xrealloc_array(v->texts, v->n + c->n, sizeof(v->texts[0]));
	for (size_t k = 0; k < c->n; k++) {
		char *text = json_line(c->values[k]);
		if (json_object_get(v->index, text)) {
			free(text);
			continue;
		}
		v->values[v->n] = json_incref(c->values[k]);
		v->texts[v->n++] = text;
		json_object_set_new(v->index, text, json_integer((json_int_t)v->n));
	}
}

static void add_choices(struct sweep_jobs *jobs, const struct plan *plan, const struct choices *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct choice *c = &list->items[i];
		if (choices_find(&plan->overrides, c->param))
			continue;
		struct varying *v = find(jobs, c->param);
		if (!v) {
			jobs->varying = xrealloc_array(jobs->varying, jobs->n_varying + 1, sizeof(jobs->varying[0]));
			v = &jobs->varying[jobs->n_varying++];
			*v = (struct varying){.param = c->param, .index = json_object()};
		}
		add_values(v, c);
	}
}

struct sweep_jobs *sweep_jobs_new(const struct plan *plan, json_t *base)
{
	struct sweep_jobs *jobs = xcalloc(1, sizeof(*jobs));
	jobs->base = base;
	add_choices(jobs, plan, &plan->parameters);
	for (size_t i = 0; i < plan->n_rules; i++)
		add_choices(jobs, plan, &plan->rules[i].set);
	qsort(jobs->varying, jobs->n_varying, sizeof(jobs->varying[0]), by_row);
	for (size_t i = 0; i < jobs->n_varying; i++) {
		struct varying *v = &jobs->varying[i];
		autofree char *text = json_line(json_object_get(base, v->param->name));
		v->base = (uint32_t)json_integer_value(json_object_get(v->index, text));
	}
	return jobs;
}

void sweep_jobs_free(struct sweep_jobs *jobs)
{
	if (!jobs)
		return;
	for (size_t i = 0; i < jobs->n_varying; i++) {
		struct varying *v = &jobs->varying[i];
		for (size_t k = 0; k < v->n; k++) {
			json_decref(v->values[k]);
			free(v->texts[k]);
		}
		free(v->values);
		free(v->texts);
		json_decref(v->index);
	}
	json_decref(jobs->base);
	free(jobs->varying);
	free(jobs->picks);
	free(jobs);
}

/* --- the jobs --- */

size_t sweep_jobs_place(const struct sweep_jobs *jobs, const struct param *param)
{
	struct varying *v = find(jobs, param);
	INVARIANT(v, "%s does not vary", param->name);
	return (size_t)(v - jobs->varying);
}

uint32_t sweep_jobs_number(const struct sweep_jobs *jobs, size_t place, const json_t *value)
{
	autofree char *text = json_line(value);
	const json_t *number = json_object_get(jobs->varying[place].index, text);
	INVARIANT(number, "%s is no value of %s", text, jobs->varying[place].param->name);
	return (uint32_t)json_integer_value(number);
}

void sweep_jobs_add(struct sweep_jobs *jobs, size_t i, const uint32_t *picks)
{
	if (i == jobs->room) {
		jobs->room = MAX(2 * i, (size_t)16);
		jobs->picks = xrealloc_array(jobs->picks, jobs->room * MAX(jobs->n_varying, (size_t)1), sizeof(jobs->picks[0]));
	}
	if (jobs->n_varying)
		memcpy(jobs->picks + i * jobs->n_varying, picks, jobs->n_varying * sizeof(*picks));
}

static uint32_t pick(const struct sweep_jobs *jobs, size_t i, size_t k)
{
	return jobs->picks[i * jobs->n_varying + k];
}

/* A number that two jobs share exactly when they have the same value. */
static uint32_t value_number(const struct sweep_jobs *jobs, size_t i, size_t k)
{
	uint32_t number = pick(jobs, i, k);
	return number ? number : jobs->varying[k].base;
}

static int by_values(const void *a, const void *b, void *arg)
{
	const struct sweep_jobs *jobs = arg;
	size_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	for (size_t k = 0; k < jobs->n_varying; k++) {
		uint32_t p = value_number(jobs, x, k), q = value_number(jobs, y, k);
		if (p != q)
			return p < q ? -1 : 1;
	}
	return x < y ? -1 : x > y;
}

bool sweep_jobs_twins(const struct sweep_jobs *jobs, size_t n, size_t *ret_a, size_t *ret_b)
{
	autofree uint32_t *order = xcalloc(n + 1, sizeof(*order));
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, n, sizeof(*order), by_values, (void *)jobs);
	for (size_t i = 1; i < n; i++) {
		bool same = true;
		for (size_t k = 0; k < jobs->n_varying && same; k++)
			same = value_number(jobs, order[i - 1], k) == value_number(jobs, order[i], k);
		if (!same)
			continue;
		*ret_a = order[i - 1];
		*ret_b = order[i];
		return true;
	}
	return false;
}

static const char *value_text(const struct sweep_jobs *jobs, size_t i, size_t k, char **ret_own)
{
	const struct varying *v = &jobs->varying[k];
	uint32_t number = pick(jobs, i, k);
	if (number)
		return v->texts[number - 1];
	*ret_own = json_line(json_object_get(jobs->base, v->param->name));
	return *ret_own;
}

/* --- what others see --- */

const json_t *sweep_job_value(const struct sweep *sweep, size_t i, const char *name)
{
	const struct sweep_jobs *jobs = sweep->jobs;
	for (size_t k = 0; k < jobs->n_varying; k++) {
		uint32_t number = pick(jobs, i, k);
		if (number && str_eq(jobs->varying[k].param->name, name))
			return jobs->varying[k].values[number - 1];
	}
	return json_object_get(jobs->base, name);
}

json_t *sweep_job_config(const struct sweep *sweep, size_t i)
{
	const struct sweep_jobs *jobs = sweep->jobs;
	json_t *config = json_copy(jobs->base);
	for (size_t k = 0; k < jobs->n_varying; k++) {
		const struct varying *v = &jobs->varying[k];
		uint32_t number = pick(jobs, i, k);
		if (number)
			json_object_set(config, v->param->name, v->values[number - 1]);
	}
	return config;
}

static size_t put(char *at, const char *text)
{
	size_t n = strlen(text);
	if (at)
		memcpy(at, text, n);
	return n;
}

/* The line of an object of what job i takes of the varying parameters at those places; or its length, where `to` is NULL. */
static size_t print_taken(const struct sweep_jobs *jobs, size_t i, const size_t *places, size_t n, char *to)
{
	size_t length = put(to, "{");
	bool first = true;
	for (size_t p = 0; p < n; p++) {
		const struct varying *v = &jobs->varying[places[p]];
		uint32_t number = pick(jobs, i, places[p]);
		const char *const parts[] = {first ? "\"" : ",\"", v->param->name, "\":", number ? v->texts[number - 1] : NULL};
		for (size_t k = 0; number && k < ARRAY_LEN(parts); k++)
			length += put(to ? to + length : NULL, parts[k]);
		first = first && !number;
	}
	return length + put(to ? to + length : NULL, "}");
}

static char *taken_text(const struct sweep_jobs *jobs, size_t i, const size_t *places, size_t n)
{
	size_t length = print_taken(jobs, i, places, n, NULL);
	char *text = xmalloc(length + 1);
	print_taken(jobs, i, places, n, text);
	text[length] = '\0';
	return text;
}

char *sweep_base_text(const struct sweep *sweep)
{
	return json_line(sweep->jobs->base);
}

char *sweep_job_own_text(const struct sweep *sweep, size_t i)
{
	const struct sweep_jobs *jobs = sweep->jobs;
	autofree size_t *places = xcalloc(jobs->n_varying + 1, sizeof(*places));
	for (size_t k = 0; k < jobs->n_varying; k++)
		places[k] = k;
	return taken_text(jobs, i, places, jobs->n_varying);
}

char *sweep_job_swept_text(const struct sweep *sweep, size_t i)
{
	autofree size_t *places = xcalloc(sweep->n_swept + 1, sizeof(*places));
	for (size_t s = 0; s < sweep->n_swept; s++)
		places[s] = sweep_jobs_place(sweep->jobs, param_find(sweep->swept[s]));
	return taken_text(sweep->jobs, i, places, sweep->n_swept);
}

json_t *sweep_job_swept(const struct sweep *sweep, size_t i)
{
	const struct sweep_jobs *jobs = sweep->jobs;
	json_t *swept = json_object();
	for (size_t s = 0; s < sweep->n_swept; s++) {
		const struct varying *v = find(jobs, param_find(sweep->swept[s]));
		uint32_t number = pick(jobs, i, (size_t)(v - jobs->varying));
		if (number)
			json_object_set(swept, sweep->swept[s], v->values[number - 1]);
	}
	return swept;
}

/* --- the hash --- */

static void hash_text(SHA2_CTX *sha, const char *text)
{
	SHA256Update(sha, (const uint8_t *)text, strlen(text) + 1);
}

static void hash_difference(SHA2_CTX *sha, const struct sweep_jobs *jobs, size_t i)
{
	for (size_t k = 0; k < jobs->n_varying; k++) {
		autofree char *own = NULL;
		if (pick(jobs, i, k) == pick(jobs, 0, k))
			continue;
		hash_text(sha, jobs->varying[k].param->name);
		hash_text(sha, pick(jobs, i, k) ? "swept" : "left");
		if (value_number(jobs, i, k) != value_number(jobs, 0, k))
			hash_text(sha, value_text(jobs, i, k, &own));
	}
	hash_text(sha, "");
}

void sweep_jobs_hash(const struct sweep *sweep, const char *head, char hash[65])
{
	SHA2_CTX sha;
	SHA256Init(&sha);
	hash_text(&sha, head);
	for (size_t i = 0; i < sweep->n_swept; i++)
		hash_text(&sha, sweep->swept[i]);
	for (size_t i = 0; i < sweep->n_jobs; i++) {
		if (i > 0) {
			hash_difference(&sha, sweep->jobs, i);
			continue;
		}
		autojson json_t *config = sweep_job_config(sweep, 0);
		autofree char *first = json_line(config);
		hash_text(&sha, first);
	}
	SHA256End(&sha, hash);
}
