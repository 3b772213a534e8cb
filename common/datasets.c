/* See datasets.h. */
#include "datasets.h"

#include "fs.h"

#define MAX_DIRECTORIES 2
#define IDX_FILES \
	"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
#define NAME_IT "\n            and name the directory above it: --data DIR, or SWEEPD_DATA=DIR"

/* To add a data set: its row here, its reader in worker/data.c, its name in params.def. */
static const struct {
	const char *name;
	const char *directories[MAX_DIRECTORIES]; /* below a place; the second one is torchvision's */
	const char *files[7];			  /* all must be there; each plain or with .gz */
	const char *how_to_get;			  /* for people */
} known[] = {
	{"cifar10", {"cifar-10-batches-bin"},
	 {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
	  "test_batch.bin"},
	 "unpack cifar-10-binary.tar.gz (cs.toronto.edu/~kriz)" NAME_IT},
	{"cifar100", {"cifar-100-binary"}, {"train.bin", "test.bin"},
	 "unpack cifar-100-binary.tar.gz (cs.toronto.edu/~kriz)" NAME_IT},
	{"mnist", {"mnist", "MNIST/raw"}, {IDX_FILES},
	 "*.gz of ossci-datasets.s3.amazonaws.com/mnist" NAME_IT},
	{"fashion-mnist", {"fashion-mnist", "FashionMNIST/raw"}, {IDX_FILES}, "apt-get install dataset-fashion-mnist"},
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

static bool ends_with_directory(const char *place, const char *directory)
{
	size_t size = strlen(place), tail = strlen(directory);
	while (size > 1 && place[size - 1] == '/')
		size--;
	return size >= tail && memcmp(place + size - tail, directory, tail) == 0 &&
	       (size == tail || place[size - tail - 1] == '/');
}

/* MNIST and Fashion-MNIST have the same file names: .../fashion-mnist itself holds no mnist. */
static bool is_anothers(const char *place, size_t k)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		for (size_t d = 0; i != k && d < MAX_DIRECTORIES && known[i].directories[d]; d++)
			if (ends_with_directory(place, known[i].directories[d]))
				return true;
	return false;
}

/* A sub-directory or the directory itself; allocated, or NULL. */
static char *look_in(const char *place, size_t k)
{
	for (size_t d = 0; d < MAX_DIRECTORIES && known[k].directories[d]; d++) {
		autofree char *below = xasprintf("%s/%s", place, known[k].directories[d]);
		if (holds(below, k))
			return steal_ptr(below);
	}
	return !is_anothers(place, k) && holds(place, k) ? xstrdup(place) : NULL;
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
