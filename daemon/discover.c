/* See discover.h. */
#include "discover.h"

#include "ask.h"

#include "common/json.h"
#include "common/log.h"

#define DEVICES_MAX 256

/* --- kinds --- */

static const char *const kind_names[] = {[DEVICE_CPU] = "cpu", [DEVICE_CUDA] = "cuda"};

const char *device_kind_name(enum device_kind kind)
{
	return kind_names[kind];
}

enum device_kind device_kind_of(const char *id)
{
	return str_eq(id, "cpu") || strncmp(id, "cpu:", strlen("cpu:")) == 0 ? DEVICE_CPU : DEVICE_CUDA;
}

/* --- the places --- */

struct place_list {
	struct place *places;
	int n;
};

static void add_place(struct place_list *list, const char *id)
{
	list->places = xrealloc_array(list->places, (size_t)list->n + 1, sizeof(*list->places));
	struct place *place = &list->places[list->n++];
	snprintf(place->id, sizeof(place->id), "%s", id);
	place->kind = device_kind_of(id);
}

static void add_cpu(struct place_list *list, int n)
{
	for (int i = 0; i < n; i++) {
		autofree char *id = n == 1 ? xstrdup("cpu") : xasprintf("cpu:%d", i);
		add_place(list, id);
	}
}

/* --- the answer --- */

/* It goes into results.db, log lines and a command line. */
static bool is_id(const char *id)
{
	size_t n = strlen(id);
	if (n == 0 || n >= DEVICE_ID_MAX || id[0] == '-')
		return false;
	for (const char *p = id; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == ',')
			return false;
	return true;
}

static int ask(json_t **ret, const struct discovery *d, struct err *err)
{
	char *args[] = {(char *)d->program, "--devices", "--json", NULL};
	autofree char *text = NULL;
	int r = ask_program(&text, args, d->timeout_ms, err);
	if (r < 0)
		return r;
	json_t *answer = json_parse(text, strlen(text), err);
	if (answer && json_array_size(json_object_get(answer, "devices")) - 1 < DEVICES_MAX) {
		*ret = answer;
		return 0;
	}
	r = answer ? err_set(err, -EINVAL, "expected a list of 1 to %d devices", DEVICES_MAX) : -EINVAL;
	json_decref(answer);
	return err_prefix(err, r, "the answer of %s --devices --json", d->program);
}

static bool is_gpu(const json_t *device)
{
	return str_eq(json_str_or(device, "kind", ""), "cuda");
}

static bool trains(const json_t *device)
{
	return json_bool_or(device, "trains", false) && is_id(json_str_or(device, "id", ""));
}

static void log_unused(const json_t *device)
{
	const char *id = json_str_or(device, "id", "");
	log_warn("GPU %s%s%s is not used: %s", json_str_or(device, "name", "?"), *id ? ", " : "", id,
		 json_str_or(device, "reason", "no reason given"));
}

/* Every GPU that trains. */
static void add_gpus(struct place_list *list, const json_t *answer)
{
	size_t i;
	const json_t *device;
	const char *problem = json_str_or(json_object_get(answer, "nvml"), "problem", NULL);
	if (problem)
		log_warn("no GPUs are looked for: %s", problem);
	json_array_foreach(json_object_get(answer, "devices"), i, device) {
		if (is_gpu(device) && trains(device))
			add_place(list, json_str_or(device, "id", ""));
		else if (is_gpu(device))
			log_unused(device);
	}
}

static void find_all(struct place_list *list, const struct discovery *d)
{
	struct err err;
	autojson json_t *answer = NULL;
	if (ask(&answer, d, &err) < 0)
		log_warn("cannot find out which devices there are, so the CPU trains: %s", err.text);
	else
		add_gpus(list, answer);
	if (list->n == 0)
		add_cpu(list, 1);
}

/* --- wanted ones --- */

/* A whole GPU by its number, or any device by its id. */
static bool is_called(const json_t *device, const char *name)
{
	autofree char *number = xasprintf("cuda:%d", (int)json_int_or(device, "index", -1));
	return str_eq(json_str_or(device, "id", ""), name) ||
	       (is_gpu(device) && json_is_null(json_object_get(device, "instance")) && str_eq(number, name));
}

static const json_t *find_called(const json_t *answer, const char *name)
{
	size_t i;
	const json_t *device;
	json_array_foreach(json_object_get(answer, "devices"), i, device)
		if (is_called(device, name))
			return device;
	return NULL;
}

static int add_wanted(struct place_list *list, const json_t *answer, const char *name, struct err *err)
{
	const json_t *device = find_called(answer, name);
	if (!device)
		return err_set(err, -ENODEV, "--device: there is no \"%s\" here (sweep-worker --devices lists what is)", name);
	const char *id = json_str_or(device, "id", "");
	if (!trains(device))
		return err_set(err, -ENODEV, "--device: %s (%s) cannot train: %s", name, json_str_or(device, "name", "?"),
			       json_str_or(device, "reason", "no reason given"));
	for (int i = 0; i < list->n; i++)
		if (str_eq(list->places[i].id, id))
			return err_set(err, -EINVAL, "--device: %s is named twice", name);
	add_place(list, id);
	return 0;
}

static int find_wanted(struct place_list *list, const struct discovery *d, struct err *err)
{
	autojson json_t *answer = NULL;
	autofree char *names = xstrdup(d->wanted);
	char *rest;
	int r = ask(&answer, d, err);
	if (r < 0)
		return err_prefix(err, r, "--device");
	for (char *name = strtok_r(names, ",", &rest); r == 0 && name; name = strtok_r(NULL, ",", &rest))
		r = add_wanted(list, answer, name, err);
	return r || list->n ? r : err_set(err, -EINVAL, "--device: expected cpu, cuda:N or UUIDs, separated by commas");
}

int discover_places(struct place **ret, int *ret_count, const struct discovery *d, struct err *err)
{
	struct place_list list = {0};
	int r = 0;
	if (d->wanted && (d->n_cpu || d->backend))
		return err_set(err, -EINVAL, "--device goes neither with --devices nor with --backend");
	if (d->wanted)
		r = find_wanted(&list, d, err);
	else if (d->n_cpu || d->backend)
		add_cpu(&list, MAX(d->n_cpu, 1));
	else
		find_all(&list, d);
	if (r < 0) {
		free(list.places);
		return r;
	}
	*ret = list.places;
	*ret_count = list.n;
	return 0;
}
