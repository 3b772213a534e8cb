/* Runs files, or all files of directories, through a target: the committed corpora in every test run, a crash by hand. */
#include "fuzz.h"

#include "common/fs.h"

#include <dirent.h>
#include <sys/stat.h>

#define MAX_BYTES (16u * 1024 * 1024)

static int replay(const char *path)
{
	struct err err;
	autofree char *bytes = NULL;
	size_t size;
	if (fs_read_file(path, MAX_BYTES, &bytes, &size, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	LLVMFuzzerTestOneInput((uint8_t *)bytes, size);
	return 1;
}

static int replay_all(const char *dir)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, NULL, alphasort), done = 0;
	for (int i = 0; i < n; i++) {
		autofree char *path = xasprintf("%s/%s", dir, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			done += replay(path);
		free(entries[i]);
	}
	free(entries);
	return done;
}

int main(int argc, char **argv)
{
	int done = 0;
	for (int i = 1; i < argc; i++) {
		struct stat st;
		done += stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode) ? replay_all(argv[i]) : replay(argv[i]);
	}
	printf("%d inputs\n", done);
	return done > 0 ? 0 : 1; /* nothing: a wrong directory */
}
