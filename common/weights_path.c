/* See weights_path.h. */
#include "weights_path.h"

#include "catalogue.h"
#include "fs.h"

/* looked_in: allocated, a line for each place. */
static char *look(const char *file, const char *data_dir, char **ret_looked_in)
{
	auto_places struct places places = {0};
	char *looked_in = xstrdup("");
	places_list(&places, PLACE_WEIGHTS, data_dir);
	for (size_t i = 0; i < places.n; i++) {
		char *path = xasprintf("%s/%s", places.items[i], file);
		if (fs_exists(path)) {
			free(looked_in);
			return path;
		}
		free(path);
		char *longer = xasprintf("%s\n            %s", looked_in, places.items[i]);
		free(looked_in);
		looked_in = longer;
	}
	*ret_looked_in = looked_in;
	return NULL;
}

int weights_path(const char *name, const char *data_dir, char **ret_path, struct err *err)
{
	auto_catalogue struct catalogue c = {0};
	const struct catalogue_item *item = NULL;
	autofree char *looked_in = NULL;
	if (strchr(name, '/')) {
		if (!fs_exists(name))
			return err_sys(err, -errno, "weights %s", name);
		*ret_path = xstrdup(name);
		return 0;
	}
	int r = catalogue_open(&c, NULL, err);
	if (r < 0)
		return r;
	bool known = catalogue_find(&c, PLACE_WEIGHTS, name, &item, NULL) == 0;
	const char *file = known ? item->sources[0].file : name;
	char *path = look(file, data_dir, &looked_in);
	if (path) {
		*ret_path = path;
		return 0;
	}
	if (known)
		return err_set(err, -ENOENT,
			       "weights \"%s\" are not on this machine\n  expected: %s in one of%s\n"
			       "  do this:  sweepctl weights fetch %s",
			       name, file, looked_in, item->name);
	return err_set(err, -ENOENT,
		       "there are no weights \"%.100s\"\n  expected: a name of `sweepctl weights list`, a path, "
		       "or a file in one of%s",
		       name, looked_in);
}
