/* The built-in table of what can be fetched: whole, and of one mind with what reads it. */
#include "cmocka_all.h"

#include "common/catalogue.h"
#include "common/datasets.h"
#include "common/digest.h"
#include "common/fs.h"
#include "common/params.h"
#include "common/weights_path.h"

static void expect_sum(const char *name, const struct catalogue_sum *sum)
{
	size_t md5 = strlen(sum->md5), sha256 = strlen(sum->sha256);
	if ((md5 && md5 != 32) || (sha256 && sha256 != 64))
		fail_msg("%s: a checksum of %zu or %zu digits", name, md5, sha256);
	if (sum->md5[strspn(sum->md5, "0123456789abcdef")] || sum->sha256[strspn(sum->sha256, "0123456789abcdef")])
		fail_msg("%s: a checksum that is not lower-case hexadecimal", name);
}

static void test_the_table_is_whole(void **state)
{
	auto_catalogue struct catalogue c = {0};
	assert_int_equal(catalogue_open(&c, NULL, NULL), 0);
	for (size_t i = 0; i < c.n; i++) {
		const struct catalogue_item *item = &c.items[i];
		assert_true(item->n_sources > 0);
		assert_true((item->n_contents > 0) == (item->kind == PLACE_DATASETS));
		assert_true(item->archive || item->kind == PLACE_WEIGHTS || item->n_sources == item->n_contents);
		for (size_t k = 0; k < item->n_sources; k++) {
			expect_sum(item->sources[k].file, &item->sources[k].sum);
			assert_true(item->sources[k].n_urls > 0);
		}
		for (size_t k = 0; k < item->n_contents; k++) {
			expect_sum(item->contents[k].file, &item->contents[k].sum);
			assert_true(item->contents[k].sum.bytes > 0);
			assert_true(*item->contents[k].sum.md5 || *item->contents[k].sum.sha256);
		}
	}
}

/* torchvision's files carry the first digits of their checksum in their names. */
static void test_names_agree_with_checksums(void **state)
{
	auto_catalogue struct catalogue c = {0};
	assert_int_equal(catalogue_open(&c, NULL, NULL), 0);
	int seen = 0;
	for (size_t i = 0; i < c.n; i++) {
		const struct catalogue_source *s = &c.items[i].sources[0];
		const char *dash = strrchr(s->file, '-'), *dot = strrchr(s->file, '.');
		if (c.items[i].kind != PLACE_WEIGHTS || !dash || !str_eq(dot, ".pth"))
			continue;
		assert_int_equal(dot - dash, 9);
		assert_memory_equal(dash + 1, s->sum.sha256, 8);
		seen++;
	}
	assert_int_equal(seen, 5);
}

/* What lies where the catalogue puts it is what datasets_find() finds, for every data set that a sweep may name. */
static void test_what_is_put_is_found(void **state)
{
	const struct param *p = param_find("dataset");
	auto_catalogue struct catalogue c = {0};
	const struct catalogue_item *item;
	struct err err;
	char name[64], *place = temp_dir();
	assert_int_equal(catalogue_open(&c, NULL, NULL), 0);
	for (int i = 0; param_choice(p, i, name, sizeof(name)); i++) {
		autofree char *found = NULL;
		if (catalogue_find(&c, PLACE_DATASETS, name, &item, &err) < 0)
			fail_msg("%s", err.text);
		autofree char *dir = xasprintf("%s/%s", place, item->directory);
		assert_int_equal(fs_mkdirs(dir, 0700, NULL), 0);
		for (size_t k = 0; k < item->n_contents; k++) {
			autofree char *path = item->archive ? xasprintf("%s/%s", dir, item->contents[k].file)
							    : xasprintf("%s/%s", dir, item->sources[k].file);
			assert_int_equal(fs_write_file(path, "", 0, 0600, NULL), 0);
		}
		if (datasets_find(name, place, &found, &err) < 0)
			fail_msg("%s", err.text);
		assert_string_equal(found, dir);
	}
	temp_dir_remove(place);
}

static void test_weights_are_found_by_any_name(void **state)
{
	char *place = temp_dir();
	struct err err;
	char *found = NULL;
	setenv("XDG_DATA_HOME", place, 1);
	unsetenv("SWEEPD_DATA");
	assert_int_equal(weights_path("resnet50-v2", NULL, &found, &err), -ENOENT);
	assert_non_null(strstr(err.text, "sweepctl weights fetch resnet50-v2"));
	assert_int_equal(weights_path("resnet50-v9", NULL, &found, &err), -ENOENT);
	assert_non_null(strstr(err.text, "there are no weights \"resnet50-v9\""));
	autofree char *dir = xasprintf("%s/weights", place), *path = xasprintf("%s/resnet50-11ad3fa6.pth", dir);
	assert_int_equal(fs_mkdirs(dir, 0700, NULL), 0);
	assert_int_equal(fs_write_file(path, "", 0, 0600, NULL), 0);
	const char *const names[] = {"resnet50-v2", "resnet50-11ad3fa6.pth", path};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(weights_path(names[i], place, &found, &err), 0);
		assert_string_equal(found, path);
		free(found);
	}
	temp_dir_remove(place);
}

static void test_digests(void **state)
{
	char *place = temp_dir();
	struct digest d;
	struct err err;
	autofree char *path = xasprintf("%s/abc", place);
	assert_int_equal(fs_write_file(path, "abc", 3, 0600, NULL), 0);
	assert_int_equal(digest_file(path, true, DIGEST_MD5 | DIGEST_SHA256, 3, &d, &err), 0);
	assert_int_equal(d.bytes, 3);
	assert_string_equal(d.md5, "900150983cd24fb0d6963f7d28e17f72"); /* RFC 1321 */
	assert_string_equal(d.sha256,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-2 */
	assert_int_equal(digest_file(path, false, DIGEST_MD5, 2, &d, &err), -EFBIG);
	struct catalogue_sum prefix = {.bytes = 3, .sha256 = "ba7816bf"}, other = {.sha256 = "ba7816be"},
			     shorter = {.bytes = 2};
	assert_int_equal(digest_needed(&prefix), DIGEST_SHA256);
	assert_int_equal(digest_file(path, false, DIGEST_SHA256, 3, &d, &err), 0);
	assert_int_equal(digest_check(&d, &prefix, &err), 0);
	assert_int_equal(digest_check(&d, &other, &err), -EBADMSG);
	assert_int_equal(digest_check(&d, &shorter, &err), -EBADMSG);
	temp_dir_remove(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_table_is_whole),
		cmocka_unit_test(test_names_agree_with_checksums),
		cmocka_unit_test(test_what_is_put_is_found),
		cmocka_unit_test(test_weights_are_found_by_any_name),
		cmocka_unit_test(test_digests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
