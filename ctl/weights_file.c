/* See weights_file.h. */
#include "ctl/weights_file.h"
#include "ctl/format.h"
#include "ctl/launch.h"
#include "ctl/table.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/weights_path.h"

#include <ctype.h>
#include <fcntl.h>
#include <sha256.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ANSWER (64u * 1024 * 1024)

/* --- what the worker says --- */

/* All that it writes; NULL when that is too much. */
static char *read_all(int fd, size_t *ret_size)
{
	size_t size = 0, room = 0;
	char *text = NULL;
	ssize_t n;

	for (;;) {
		if (room - size < 65536) {
			room = MAX(2 * room, (size_t)131072);
			text = xrealloc_array(text, room, 1);
		}
		n = read(fd, text + size, room - size);
		if (n > 0)
			size += (size_t)n;
		if (n == 0 && size <= MAX_ANSWER) {
			*ret_size = size;
			return text;
		}
		if ((n < 0 && errno != EINTR) || size > MAX_ANSWER) {
			free(text);
			return NULL;
		}
	}
}

/* EXIT_OK and what worker/inspect.h says of the file; else what is wrong was said. */
static int ask_worker(const char *file, json_t **ret)
{
	autofree char *program = find_program("sweep-worker", "worker");
	autofree char *text = NULL;
	struct err err = {"sweep-worker did not answer"};
	int ends[2], status = 0;
	size_t size = 0;

	if (!program || pipe2(ends, O_CLOEXEC) < 0) {
		say_error("sweep-worker is neither beside sweepctl nor in $PATH\n  do this:  install it");
		return EXIT_BAD_OUTCOME;
	}
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		autofree char *option = xasprintf("--weights=%s", file);
		dup2(ends[1], STDOUT_FILENO);
		execv(program, (char *[]){program, option, (char *)"--json", NULL});
		_exit(127);
	}
	close(ends[1]);
	text = pid > 0 ? read_all(ends[0], &size) : NULL;
	close(ends[0]);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) > 0 &&
	    WEXITSTATUS(status) != 127)
		return WEXITSTATUS(status); /* it said why */
	*ret = text && size ? json_parse(text, size, &err) : NULL;
	if (*ret)
		return EXIT_OK;
	say_error(err.text);
	return EXIT_BAD_OUTCOME;
}

static char *shape_text(const json_t *shape)
{
	char *text = NULL;
	size_t i;
	json_t *n;

	json_array_foreach(shape, i, n) text_append(&text, "%s%lld", i ? "x" : "", (long long)json_integer_value(n));
	return text ? text : xstrdup("scalar");
}

/* "fits resnet18 with stem imagenet, 1000 classes"; allocated. */
static char *fits_text(const json_t *about)
{
	const json_t *models = json_object_get(about, "models");
	char *text = NULL;
	size_t i;
	json_t *m;

	json_array_foreach(models, i, m)
	{
		text_append(&text, "%s%s with stem %s", i ? ", or " : "fits ", json_str_or(m, "model", "?"),
			    json_str_or(m, "stem", "?"));
		if (json_int_or(m, "classes", 0))
			text_append(&text, ", %lld classes", (long long)json_int_or(m, "classes", 0));
		else
			text_append(&text, ", no classifier");
	}
	return text ? text : xstrdup("fits no network of this program");
}

/* --- inspect --- */

/* A file, or else weights that are here by their name. */
static char *find_file(const struct stock_input *input, const char *name)
{
	char *path = NULL;

	if (!fs_exists(name) && !strchr(name, '/') && weights_path(name, input->data, &path, NULL) == 0)
		return path;
	return xstrdup(name);
}

static void print_about(struct ctl *ctl, const json_t *about)
{
	char size[FORMAT_MAX];
	struct table *t = table_new();
	autofree char *fits = fits_text(about);
	const json_t *tensors = json_object_get(about, "tensors");
	size_t i;
	json_t *tensor;

	table_column(t, "NAME", false, 0);
	table_shrink(t, 20);
	table_column(t, "DTYPE", false, 0);
	table_column(t, "SHAPE", false, 0);
	json_array_foreach(tensors, i, tensor)
	{
		autofree char *shape = shape_text(json_object_get(tensor, "shape"));
		table_cell(t, json_str_or(tensor, "name", "?"));
		table_cell(t, json_str_or(tensor, "dtype", "?"));
		table_cell(t, shape);
	}
	table_print(t, &ctl->out, stdout);
	table_free(t);
	printf("\n%zu tensors, %lld elements; %s, %s\nsha256 %s\n%s\n", json_array_size(tensors),
	       (long long)json_int_or(about, "elements", 0), json_str_or(about, "format", "?"),
	       format_bytes((double)json_int_or(about, "bytes", 0), size), json_str_or(about, "sha256", "?"), fits);
}

int weights_inspect(struct ctl *ctl, const struct stock_input *input)
{
	autojson json_t *list = json_array();
	int code = EXIT_OK;

	for (size_t i = 0; i < input->names.n; i++) {
		json_t *about = NULL;
		autofree char *file = find_file(input, input->names.items[i]);
		int one = ask_worker(file, &about);
		if (one != EXIT_OK) {
			code = one;
			continue;
		}
		if (!ctl->json && input->names.n > 1)
			printf("%s%s\n", i ? "\n" : "", file);
		if (!ctl->json)
			print_about(ctl, about);
		json_array_append_new(list, about);
	}
	if (ctl->json)
		print_json(json_incref(list));
	return code;
}

/* --- import --- */

/* The hex digits that torch puts into a file's name, "resnet18-f37072fd.pth", or NULL; they begin its SHA-256. */
static const char *name_digits(const char *name, size_t *ret_n)
{
	const char *dash = strrchr(name, '-');
	size_t n = 0;

	while (dash && isxdigit((unsigned char)dash[1 + n]) && !isupper((unsigned char)dash[1 + n]))
		n++;
	if (n < 8 || n > 64 || dash[1 + n] != '.')
		return NULL;
	*ret_n = n;
	return dash + 1;
}

static int check_digits(const char *name, const char *sha256)
{
	size_t n = 0;
	const char *digits = name_digits(name, &n);

	if (!digits || strncmp(digits, sha256, n) == 0)
		return EXIT_OK;
	autofree char *text = xasprintf("%s: its name says that its sha256 begins with %.*s, but it begins with %.*s\n"
					"  expected: the file whole, as it was published\n"
					"  do this:  bring it again, or give it a name without these digits",
					name, (int)n, digits, (int)n, sha256);
	say_error(text);
	return EXIT_BAD_OUTCOME;
}

/* Copies what has this SHA-256, and nothing else. */
static int copy_bytes(int from, int to, const char *file, const char *sha256, struct err *err)
{
	SHA256_CTX sum;
	char hex[SHA256_DIGEST_STRING_LENGTH];
	const size_t room = 1u << 20;
	autofree uint8_t *bytes = xmalloc(room);
	ssize_t n;

	SHA256Init(&sum);
	while ((n = read(from, bytes, room)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, -errno, "%s", file);
		SHA256Update(&sum, bytes, (size_t)n);
		int r = fs_write_all(to, bytes, (size_t)n);
		if (r < 0)
			return err_sys(err, r, "cannot copy %s", file);
	}
	if (str_eq(SHA256End(&sum, hex), sha256))
		return 0;
	return err_set(err, -EAGAIN, "%s was changed while it was read; try again", file);
}

static int copy_file(const char *file, const char *path, const char *sha256, struct err *err)
{
	int to;
	autoclose int from = open(file, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return err_sys(err, -errno, "%s", file);
	int r = fs_temp_open(path, 0644, &to, err);
	if (r < 0)
		return r;
	r = copy_bytes(from, to, file, sha256, err);
	if (r == 0)
		return fs_temp_commit(path, to, err);
	fs_temp_abandon(path, to);
	return r;
}

/* Whether path is there, and whether it is that very file. */
static bool is_there(const char *path, const char *sha256, bool *ret_same)
{
	char hex[SHA256_DIGEST_STRING_LENGTH];

	if (!fs_exists(path))
		return false;
	*ret_same = SHA256File(path, hex) && str_eq(hex, sha256);
	return true;
}

static int install(const char *file, const char *dir, const char *name, const char *sha256)
{
	autofree char *path = xasprintf("%s/%s", dir, name);
	struct err err;
	bool same = false;

	if (is_there(path, sha256, &same)) {
		if (same)
			return EXIT_OK;
		fprintf(stderr, "error: %s is there already, another file\n  do this:  remove it, or rename yours\n",
			path);
		return EXIT_STATE;
	}
	int r = fs_mkdirs(dir, 0755, &err);
	r = r ? r : copy_file(file, path, sha256, &err);
	if (r == 0)
		return EXIT_OK;
	say_error(err.text);
	return r == -EACCES || r == -EPERM ? EXIT_PERMISSION : EXIT_BAD_OUTCOME;
}

static int import_one(struct ctl *ctl, const struct stock_input *input, const char *file, json_t *list)
{
	autojson json_t *about = NULL;
	const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
	bool system = ctl->paths.system && geteuid() == 0;
	int code = ask_worker(file, &about);

	if (code != EXIT_OK)
		return code;
	const char *sha256 = json_str_or(about, "sha256", "");
	autofree char *fits = fits_text(about), *dir = places_install(PLACE_WEIGHTS, input->data, system);
	if (!json_array_size(json_object_get(about, "models"))) {
		fprintf(stderr,
			"error: %s fits no network of this program; it was not imported\n"
			"  do this:  sweepctl weights inspect shows what is in it\n",
			file);
		return EXIT_BAD_OUTCOME;
	}
	code = check_digits(name, sha256);
	code = code ? code : install(file, dir, name, sha256);
	if (code != EXIT_OK)
		return code;
	autofree char *path = xasprintf("%s/%s", dir, name), *shown = format_path(path);
	json_object_set_new(about, "path", json_string(path));
	json_object_del(about, "tensors");
	json_array_append(list, about);
	if (!ctl->json)
		printf("%s: %s; in a sweep: pretrained true, weights \"%s\"\n", shown, fits, name);
	return EXIT_OK;
}

int weights_import(struct ctl *ctl, const struct stock_input *input)
{
	autojson json_t *list = json_array();
	int code = EXIT_OK;

	if (ctl->paths.system && geteuid() != 0 && !input->data && !getenv("SWEEPD_DATA"))
		fputs("note: this is for you alone; the system's sweepd looks in /var/lib/sweepd: sudo sweepctl\n",
		      stderr);
	for (size_t i = 0; i < input->names.n; i++) {
		int one = import_one(ctl, input, input->names.items[i], list);
		code = code ? code : one;
	}
	if (ctl->json)
		print_json(json_incref(list));
	return code;
}
