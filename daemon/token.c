/* See token.h. */
#include "token.h"

#include "common/fs.h"

#include <sys/random.h>

static bool is_token(const char *text)
{
	return strspn(text, "0123456789abcdef") == 64 && str_eq(text + 64, "\n");
}

int token_load(const char *path, char token[65], struct err *err)
{
	unsigned char bytes[32];
	char text[66] = "";
	autofree char *stored = NULL;
	if (fs_read_file(path, 4096, &stored, NULL, NULL) == 0 && is_token(stored)) {
		snprintf(token, 65, "%.64s", stored);
		return 0;
	}
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return err_sys(err, -errno, "cannot get random bytes");
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	text[64] = '\n';
	int r = fs_write_file(path, text, 65, 0600, err);
	if (r == 0)
		snprintf(token, 65, "%.64s", text);
	return r;
}
