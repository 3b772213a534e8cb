/* See library.h. */
#include "library.h"

#include <dlfcn.h>
#include <glob.h>
#include <unistd.h>

int library_open(void **ret, const char *name, char *const dirs[], struct err *err)
{
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	autofree char *reason = xstrdup(library ? "" : dlerror());
	for (size_t i = 0; !library && dirs && dirs[i]; i++) {
		autofree char *path = xasprintf("%s/%s", dirs[i], name);
		if (access(path, R_OK) < 0)
			continue;
		library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!library) {
			const char *why = dlerror();
			return err_set(err, -ELIBACC, "%s cannot be loaded: %s", path, why ? why : "unknown reason");
		}
	}
	if (library) {
		*ret = library;
		return 0;
	}
	/* The loader says the same when the file is missing and when something that it needs is. */
	autofree char *missing = xasprintf("%s: cannot open shared object file: No such file", name);
	if (strncmp(reason, missing, strlen(missing)) == 0)
		return err_set(err, -ENOENT, "%s was not found", name);
	return err_set(err, -ELIBACC, "%s cannot be loaded: %s", name, reason);
}

int library_load(void *library, const char *name, const struct library_symbol symbols[], size_t n, void *table,
		 struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		void *symbol = dlsym(library, symbols[i].name);
		if (!symbol)
			return err_set(err, -ENOSYS, "%s has no function %s: it is older than this program needs", name,
				       symbols[i].name);
		memcpy((char *)table + symbols[i].offset, &symbol, sizeof(symbol));
	}
	return 0;
}

const char *library_path(const void *symbol)
{
	Dl_info info;
	return dladdr(symbol, &info) && info.dli_fname ? info.dli_fname : "";
}

/* --- places --- */

struct dir_list {
	char **dirs; /* room for one more: the NULL at the end */
	size_t n;
};

static void add_matches(struct dir_list *list, const char *pattern)
{
	glob_t found;
	if (glob(pattern, GLOB_ONLYDIR, NULL, &found) != 0)
		return;
	list->dirs = xrealloc_array(list->dirs, list->n + found.gl_pathc + 1, sizeof(*list->dirs));
	for (size_t i = 0; i < found.gl_pathc; i++)
		list->dirs[list->n++] = xstrdup(found.gl_pathv[i]);
	globfree(&found);
}

static void add_under(struct dir_list *list, const char *root, const char *const tails[])
{
	for (size_t i = 0; root && *root && tails[i]; i++) {
		autofree char *pattern = xasprintf("%s/%s", root, tails[i]);
		add_matches(list, pattern);
	}
}

char **library_cuda_dirs(void)
{
	static const char *const toolkit[] = {"lib64", "lib", NULL};
	static const char *const python[] = {"lib/python3*/site-packages/nvidia/*/lib",
					     "lib/python3*/dist-packages/nvidia/*/lib", NULL};
	static const char *const conda[] = {"lib", NULL};
	struct dir_list list = {.dirs = xcalloc(1, sizeof(char *))};
	const char *home = getenv("HOME");
	autofree char *local = home ? xasprintf("%s/.local", home) : NULL;
	add_under(&list, getenv("CUDA_HOME"), toolkit);
	add_under(&list, "/usr/local/cuda", toolkit);
	add_under(&list, getenv("VIRTUAL_ENV"), python);
	add_under(&list, getenv("CONDA_PREFIX"), conda);
	add_under(&list, getenv("CONDA_PREFIX"), python);
	add_under(&list, local, python);
	add_under(&list, "/usr/local", python);
	add_under(&list, "/usr", python);
	list.dirs[list.n] = NULL;
	return list.dirs;
}

void library_dirs_free(char **dirs)
{
	for (size_t i = 0; dirs && dirs[i]; i++)
		free(dirs[i]);
	free(dirs);
}
