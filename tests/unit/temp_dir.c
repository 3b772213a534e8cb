/* See cmocka_all.h. */
#include "cmocka_all.h"

#include <ftw.h>
#include <unistd.h>

char *temp_dir(void)
{
	const char *base = getenv("TMPDIR");
	char *dir = xasprintf("%s/sweepd-test-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(dir));
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void temp_dir_remove(char *dir)
{
	assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(dir);
}
