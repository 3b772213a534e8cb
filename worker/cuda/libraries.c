/* See libraries.h.  To add one: a row of known[] and the function that asks it for its version. */
#include "libraries.h"

#include "library.h"

#include <dlfcn.h>

/* "13.0" of 13000; CUDA's coding of the driver's and the runtime's version. */
static bool by_pointer(void *function, char *buf, size_t size)
{
	int (*get)(int *) = (int (*)(int *))function, version = 0;
	if (get(&version) != 0)
		return false;
	snprintf(buf, size, "%d.%d", version / 1000, version / 10 % 100);
	return true;
}

/* cuDNN 9: 9 * 10000 + minor * 100 + patch; before it thousands. */
static bool by_value(void *function, char *buf, size_t size)
{
	size_t version = ((size_t(*)(void))function)();
	size_t major = version >= 90000 ? version / 10000 : version / 1000;
	size_t rest = version >= 90000 ? version % 10000 : version % 1000;
	snprintf(buf, size, "%zu.%zu.%zu", major, rest / 100, rest % 100);
	return true;
}

/* cublasGetProperty(libraryPropertyType, int *): 0 major, 1 minor, 2 patch. */
static bool by_property(void *function, char *buf, size_t size)
{
	int (*get)(int, int *) = (int (*)(int, int *))function, part[3];
	for (int i = 0; i < 3; i++)
		if (get(i, &part[i]) != 0)
			return false;
	snprintf(buf, size, "%d.%d.%d", part[0], part[1], part[2]);
	return true;
}

static const struct {
	const char *what, *names[4]; /* the newest first */
	const char *symbol;
	bool (*version)(void *function, char *buf, size_t size);
} known[] = {
	{"driver", {"libcuda.so.1"}, "cuDriverGetVersion", by_pointer},
	{"CUDA runtime",
	 {"libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0"},
	 "cudaRuntimeGetVersion",
	 by_pointer},
	{"cuDNN", {"libcudnn.so.9"}, "cudnnGetVersion", by_value},
	{"cuBLAS", {"libcublas.so.13", "libcublas.so.12", "libcublas.so.11"}, "cublasGetProperty", by_property},
};

static json_t *describe(size_t row, char *const dirs[])
{
	const char *name = known[row].names[0], *path = NULL, *version = NULL;
	char text[32];
	void *library = NULL;
	struct err err;
	int r = -ENOENT;
	for (size_t i = 0; r == -ENOENT && i < ARRAY_LEN(known[row].names) && known[row].names[i]; i++)
		r = library_open(&library, name = known[row].names[i], dirs, &err);
	if (r == -ENOENT)
		name = known[row].names[0];
	void *function = library ? dlsym(library, known[row].symbol) : NULL;
	if (function) {
		path = library_path(function);
		version = known[row].version(function, text, sizeof(text)) ? text : NULL;
	}
	return json_pack("{s:s, s:s, s:s?, s:s?, s:s?}", "name", name, "what", known[row].what, "version", version,
			 "path", path, "problem", r < 0 && r != -ENOENT ? err.text : NULL);
}

json_t *libraries_find(void)
{
	json_t *list = json_array();
	char **dirs = library_cuda_dirs();
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		json_array_append_new(list, describe(i, dirs));
	library_dirs_free(dirs);
	return list;
}
