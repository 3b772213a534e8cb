/* See datasets.h. */
#include "datasets.h"

#include "fs.h"

/* To add a data set: its row here, its reader in worker/data.c, its name in params.def. */
static const struct {
	const char *name;
	const char *directory;	/* also looked for in a place's sub-directory of this name */
	const char *files[5];	/* all must be there; each plain or with .gz */
	const char *how_to_get; /* for people */
} known[] = {
	{"cifar100", "cifar-100-binary", {"train.bin", "test.bin"},
	 "unpack cifar-100-binary.tar.gz (www.cs.toronto.edu/~kriz/cifar.html)\n"
	 "            and name its directory: --data DIR, or SWEEPD_DATA=DIR"},
	{"fashion-mnist", "fashion-mnist",
	 {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"},
	 "apt-get install dataset-fashion-mnist"},
};

static bool has_file(const char *dir, const char *name)
{
	autofree char *plain = xasprintf("%s/%s", dir, name);
	autofree char *gz = xasprintf("%s/%s.gz", dir, name);
	return fs_exists(plain) || fs_exists(gz);
}

static bool holds(const char *dir, size_t k)
{
	for (size_t i = 0; known[k].files[i]; i++)
		if (!has_file(dir, known[k].files[i]))
			return false;
	return true;
}

/* The directory itself or its sub-directory; allocated, or NULL. */
static char *look_in(const char *place, size_t k)
{
	autofree char *below = xasprintf("%s/%s", place, known[k].directory);
	if (holds(below, k))
		return steal_ptr(below);
	return holds(place, k) ? xstrdup(place) : NULL;
}

struct search {
	char *found;  /* NULL as yet */
	char *places; /* those looked in, each on a line of its own */
	size_t k;
};

static void try_place(struct search *s, const char *place)
{
	if (s->found || !*place)
		return;
	s->found = look_in(place, s->k);
	char *longer = xasprintf("%s\n            %s", s->places, place);
	free(s->places);
	s->places = longer;
}

static void try_environment(struct search *s)
{
	const char *list = getenv("SWEEPD_DATA");
	while (list && *list) {
		size_t size = strcspn(list, ":");
		autofree char *place = xasprintf("%.*s", (int)size, list);
		try_place(s, place);
		list += size + (list[size] == ':');
	}
}

static void try_home(struct search *s)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	autofree char *place = data && *data ? xasprintf("%s/sweepd/datasets", data)
					     : xasprintf("%s/.local/share/sweepd/datasets", home ? home : "");
	try_place(s, place);
}

int datasets_find(const char *name, const char *data_dir, char **ret_dir, struct err *err)
{
	struct search s = {.places = xstrdup("")};
	while (s.k < ARRAY_LEN(known) && !str_eq(known[s.k].name, name))
		s.k++;
	if (s.k == ARRAY_LEN(known)) {
		free(s.places);
		return err_set(err, -ENOENT, "there is no data set \"%s\"", name);
	}
	if (data_dir)
		try_place(&s, data_dir);
	try_environment(&s);
	try_home(&s);
	try_place(&s, "/var/lib/sweepd/datasets");
	try_place(&s, "/usr/share/datasets");
	autofree char *places = s.places;
	if (s.found) {
		*ret_dir = s.found;
		return 0;
	}
	return err_set(err, -ENOENT,
		       "data set \"%s\" is not on this machine\n  expected: %s ... in one of%s\n  do this:  %s", name,
		       known[s.k].files[0], places, known[s.k].how_to_get);
}
