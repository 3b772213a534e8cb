/* libFuzzer: any bytes as a lab's catalogue.  File names of what is taken become paths: they must be plain. */
#include "fuzz.h"

#include "common/catalogue.h"

static void check_name(const char *name)
{
	INVARIANT(*name && name[0] != '.' && !strchr(name, '/') && strlen(name) <= 100, "\"%s\" is no plain name",
		  name);
}

static void check_item(const struct catalogue_item *item)
{
	check_name(item->name);
	INVARIANT(item->n_sources > 0, "%s without a source", item->name);
	for (size_t i = 0; i < item->n_sources; i++)
		check_name(item->sources[i].file);
	for (size_t i = 0; i < item->n_contents; i++) {
		check_name(item->contents[i].file);
		INVARIANT(item->contents[i].sum.bytes > 0, "%s of no size", item->contents[i].file);
	}
	INVARIANT(item->archive || item->kind == PLACE_WEIGHTS || item->n_sources == item->n_contents,
		  "%s does not pair", item->name);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct catalogue c;
	struct err err;
	fuzz_dir();
	fuzz_write("catalogue.json", bytes, size);
	autofree char *path = xasprintf("%s/catalogue.json", fuzz_dir());
	if (catalogue_open(&c, path, &err) < 0)
		return 0;
	for (size_t i = 0; i < c.n; i++)
		check_item(&c.items[i]);
	catalogue_fini(&c);
	return 0;
}
