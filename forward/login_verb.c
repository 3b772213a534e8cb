/* The verbs login and key: a person's API key is taken from standard input, checked with the server and stored; and
 * where a key would be found.  Neither prints a key. */
#include "ask.h"
#include "key.h"
#include "verbs.h"

#include "common/fs.h"
#include "common/json.h"
#include "common/paths.h"
#include "common/protocol.h"
#include "common/wandb.h"

#include <argp.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

struct options {
	const char *dir, *base_url, *file_dir;
	uid_t owner;
	bool json, remove, unchecked, service;
};

enum { OPTION_REMOVE = 256, OPTION_UNCHECKED, OPTION_JSON, OPTION_OWNER, OPTION_FILE_DIR, OPTION_SERVICE };

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	switch (key) {
	case 'd':
		o->dir = arg;
		return 0;
	case 'u':
		o->base_url = arg;
		return 0;
	case OPTION_REMOVE:
		o->remove = true;
		return 0;
	case OPTION_UNCHECKED:
		o->unchecked = true;
		return 0;
	case OPTION_SERVICE:
		o->service = true;
		return 0;
	case OPTION_JSON:
		o->json = true;
		return 0;
	case OPTION_OWNER:
		o->owner = (uid_t)atoll(arg);
		return 0;
	case OPTION_FILE_DIR:
		o->file_dir = arg;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static int fail(int code, const struct err *err)
{
	fprintf(stderr, "error: %s\n", err->text);
	return code;
}

/* The server: as asked for, else $WANDB_BASE_URL, else W&B's. */
static int find_server(struct options *o, struct err *err)
{
	return o->base_url ? wandb_base_url_check(o->base_url, err) : wandb_own_base_url(&o->base_url, err);
}

static struct termios shown; /* the terminal before it was made silent */

static void on_interrupt(int number)
{
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	_exit(EXIT_INTERRUPTED);
}

/* One line of standard input; on a terminal it is asked for and not shown.  Allocated: wipe it. */
static char *read_key(const char *base_url)
{
	bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &shown) == 0;
	char *line = xcalloc(1, 8192);
	if (terminal) {
		fprintf(stderr, "API key of %s (W&B shows yours at https://wandb.ai/authorize): ", base_url);
		struct termios silent = shown;
		signal(SIGINT, on_interrupt);
		silent.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	}
	size_t used = 0;
	for (ssize_t n = 1; n > 0 && used < 8191 && !memchr(line, '\n', used); used += n > 0 ? (size_t)n : 0)
		n = read(STDIN_FILENO, line + used, 8191 - used);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
		fputc('\n', stderr);
	}
	size_t start = strspn(line, " \t\r\n");
	memmove(line, line + start, used - start + 1);
	line[strcspn(line, " \t\r\n")] = '\0';
	return line;
}

/* Asks the server whose key it is; ret_user: allocated. */
static int ask_whose(const char *base_url, const char *key, char **ret_user, struct err *err)
{
	struct ask ask;
	struct graphql_answer answer;
	autofree char *body = graphql_viewer();
	int r = ask_open(&ask, base_url, key, err);
	if (r < 0)
		return r;
	r = ask_graphql(&ask, body, &answer, err);
	ask_close(&ask);
	if (r < 0)
		return r;
	const char *entity = graphql_text(&answer, GRAPHQL_PATH("viewer", "entity"));
	if (entity)
		*ret_user = xstrdup(entity);
	else
		r = err_set(err, -EACCES, "%s does not know this key", base_url);
	graphql_fini(&answer);
	return r;
}

/* The unit's LoadCredential=wandb_api_key finds it there; only root can read it, and sweep-forward has it as it starts.
 */
#define CREDENTIALS "/etc/credstore"
#define CREDENTIAL  CREDENTIALS "/wandb_api_key"

static int store_for_service(const char *key, char **ret_path, struct err *err)
{
	int r = fs_mkdirs(CREDENTIALS, 0700, err);
	r = r ? r : fs_write_file(CREDENTIAL, key, strlen(key), 0600, err);
	if (r < 0)
		return r;
	*ret_path = xstrdup(CREDENTIAL);
	fprintf(stderr, "the service takes it at its next start, for the server of its own $WANDB_BASE_URL\n"
			"  do this:  sudo systemctl restart sweep-forward\n");
	return 0;
}

static int forget_of_service(char **ret_path, struct err *err)
{
	if (unlink(CREDENTIAL) < 0)
		return err_sys(err, -errno, "%s", CREDENTIAL);
	*ret_path = xstrdup(CREDENTIAL);
	return 0;
}

static int log_in(const struct options *o, const char *config, const char *key)
{
	struct err err, why = {""};
	autofree char *user = NULL, *path = NULL;
	if (wandb_key_check(key, &err) < 0)
		return fail(EXIT_REFUSED, &err);
	int r = o->unchecked ? 0 : ask_whose(o->base_url, key, &user, &why);
	if (r < 0 && r != -EHOSTUNREACH) {
		err_set(&err, r, "%s; nothing was stored", why.text);
		return fail(r == -EACCES ? EXIT_PERMISSION : EXIT_BAD_OUTCOME, &err);
	}
	r = o->service ? store_for_service(key, &path, &err) : wandb_key_store(config, o->base_url, key, &path, &err);
	if (r < 0)
		return fail(r == -EACCES || r == -EPERM ? EXIT_PERMISSION : EXIT_BAD_OUTCOME, &err);
	if (o->json) {
		autojson json_t *answer =
			json_pack("{s:s, s:s?, s:s}", "server", o->base_url, "entity", user, "stored", path);
		autofree char *line = json_line(answer);
		puts(line);
		return EXIT_OK;
	}
	if (user)
		printf("logged in to %s as %s; the key is in %s\n", o->base_url, user, path);
	else
		printf("the key for %s is in %s\nnot checked: %s\n", o->base_url, path,
		       *why.text ? why.text : "as asked (--no-check)");
	return EXIT_OK;
}

int verb_login(int argc, char **argv)
{
	static const struct argp_option rows[] = {
		{"dir", 'd', "DIR", 0, "store it in that directory"},
		{"base-url", 'u', "URL", 0, "the server; $WANDB_BASE_URL, else " WANDB_DEFAULT_BASE_URL},
		{"remove", OPTION_REMOVE, NULL, 0, "forget the stored key of that server"},
		{"service", OPTION_SERVICE, NULL, 0, "store it for the system's sweep-forward, as " CREDENTIAL},
		{"no-check", OPTION_UNCHECKED, NULL, 0, "do not ask the server whether it takes the key"},
		{"json", OPTION_JSON, NULL, 0, "answer in JSON"},
		{0},
	};
	static const struct argp argp = {rows, parse, NULL, "Stores the API key that comes on standard input."};
	struct options o = {.owner = geteuid()};
	struct err err;
	autofree char *path = NULL;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	autofree char *config = key_config_dir(o.dir);
	if (find_server(&o, &err) < 0)
		return fail(EXIT_REFUSED, &err);
	if (o.service && geteuid() != 0) {
		err_set(&err, -EPERM,
			"the system's sweep-forward has its key from systemd, and only root may store it\n"
			"  do this:  sudo sweepctl wandb login");
		return fail(EXIT_PERMISSION, &err);
	}
	if (!config) {
		err_set(&err, -ENOENT, "no place to store a key: HOME and XDG_CONFIG_HOME are not set");
		return fail(EXIT_BAD_OUTCOME, &err);
	}
	if (o.remove) {
		int r = o.service ? forget_of_service(&path, &err)
				  : wandb_key_store(config, o.base_url, NULL, &path, &err);
		if (r < 0)
			return fail(r == -ENOENT ? EXIT_NO_SUCH : EXIT_BAD_OUTCOME, &err);
		printf("the key for %s is forgotten (%s)\n", o.base_url, path);
		return EXIT_OK;
	}
	char *key = read_key(o.base_url);
	int code = log_in(&o, config, key);
	explicit_bzero(key, 8192);
	free(key);
	return code;
}

/* {"server", "found", "source" or "error", "warning"}: for sweepctl. */
int verb_key(int argc, char **argv)
{
	static const struct argp_option rows[] = {
		{"dir", 'd', "DIR", 0, "keys are stored in that directory"},
		{"base-url", 'u', "URL", 0, "the server"},
		{"file-dir", OPTION_FILE_DIR, "DIR", 0, "of the sweep file"},
		{"owner", OPTION_OWNER, "UID", 0, "of the sweep"},
		{0},
	};
	static const struct argp argp = {rows, parse, NULL,
					 "Says, in JSON, where the API key is found; never what it is."};
	struct options o = {.owner = geteuid()};
	struct err err;
	struct wandb_key key = {0};
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	autofree char *config = key_config_dir(o.dir);
	if (find_server(&o, &err) < 0)
		return fail(EXIT_REFUSED, &err);
	struct wandb_key_places places = {o.base_url, o.file_dir, config, o.owner};
	bool found = wandb_key_find(&places, &key, &err) == 0;
	autojson json_t *answer =
		json_pack("{s:s, s:b, s:s?, s:s?, s:s?}", "server", o.base_url, "found", found, "source", key.source,
			  "warning", key.warning, "error", found ? NULL : err.text);
	wandb_key_fini(&key);
	autofree char *line = json_line(answer);
	puts(line);
	return EXIT_OK;
}
