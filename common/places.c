/* See places.h. */
#include "places.h"

static const char *const kind_directories[] = {[PLACE_DATASETS] = "datasets", [PLACE_WEIGHTS] = "weights"};

/* Consumes place. */
static void add(struct places *p, char *place)
{
	if (*place && p->n < ARRAY_LEN(p->items))
		p->items[p->n++] = place;
	else
		free(place);
}

/* Below a directory that a user named. */
static char *below(enum place_kind kind, const char *dir, size_t size)
{
	return kind == PLACE_DATASETS ? xasprintf("%.*s", (int)size, dir) : xasprintf("%.*s/weights", (int)size, dir);
}

static char *users_own(enum place_kind kind)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	if (data && *data)
		return xasprintf("%s/sweepd/%s", data, kind_directories[kind]);
	return xasprintf("%s/.local/share/sweepd/%s", home ? home : "", kind_directories[kind]);
}

static char *services(enum place_kind kind)
{
	return xasprintf("/var/lib/sweepd/%s", kind_directories[kind]);
}

void places_list(struct places *ret, enum place_kind kind, const char *data_dir)
{
	*ret = (struct places){0};
	if (data_dir && *data_dir)
		add(ret, below(kind, data_dir, strlen(data_dir)));
	for (const char *list = getenv("SWEEPD_DATA"); list && *list;) {
		size_t size = strcspn(list, ":");
		if (size && ret->n + 3 < ARRAY_LEN(ret->items))
			add(ret, below(kind, list, size));
		list += size + (list[size] == ':');
	}
	add(ret, users_own(kind));
	add(ret, services(kind));
	if (kind == PLACE_DATASETS)
		add(ret, xstrdup("/usr/share/datasets"));
}

char *places_install(enum place_kind kind, const char *data_dir, bool system)
{
	const char *list = getenv("SWEEPD_DATA");
	if (data_dir && *data_dir)
		return below(kind, data_dir, strlen(data_dir));
	list += list ? strspn(list, ":") : 0;
	if (list && *list)
		return below(kind, list, strcspn(list, ":"));
	return system ? services(kind) : users_own(kind);
}

void places_fini(struct places *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->items[i]);
	*p = (struct places){0};
}
