/* See datasets.h. */
#include "datasets.h"

#include "fs.h"
#include "places.h"

#define MAX_DIRECTORIES 2
#define IDX_FILES \
	"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"

/* To add a data set: its row here, its files in catalogue.def, its reader in worker/data.c, its name in params.def. */
static const struct {
	const char *name;
	const char *directories[MAX_DIRECTORIES]; /* below a place; the second one is torchvision's */
	const char *files[7];			  /* all must be there; each plain or with .gz */
} known[] = {
	{"cifar10", {"cifar-10-batches-bin"},
	 {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
	  "test_batch.bin"}},
	{"cifar100", {"cifar-100-binary"}, {"train.bin", "test.bin"}},
	{"mnist", {"mnist", "MNIST/raw"}, {IDX_FILES}},
	{"fashion-mnist", {"fashion-mnist", "FashionMNIST/raw"}, {IDX_FILES}},
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

int datasets_find(const char *name, const char *data_dir, char **ret_dir, struct err *err)
{
	auto_places struct places places = {0};
	autofree char *looked_in = xstrdup("");
	size_t k = 0;
	while (k < ARRAY_LEN(known) && !str_eq(known[k].name, name))
		k++;
	if (k == ARRAY_LEN(known))
		return err_set(err, -ENOENT, "there is no data set \"%s\"", name);
	places_list(&places, PLACE_DATASETS, data_dir);
	for (size_t i = 0; i < places.n; i++) {
		char *found = look_in(places.items[i], k);
		if (found) {
			*ret_dir = found;
			return 0;
		}
		char *longer = xasprintf("%s\n            %s", looked_in, places.items[i]);
		free(looked_in);
		looked_in = longer;
	}
	return err_set(err, -ENOENT,
		       "data set \"%s\" is not on this machine\n  expected: %s ... in one of%s\n"
		       "  do this:  sweepctl dataset fetch %s\n"
		       "            or name the directory that has it: --data DIR, or SWEEPD_DATA=DIR",
		       name, known[k].files[0], looked_in, name);
}
