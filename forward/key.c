/* See key.h. */
#include "key.h"

#include "forward/netrc.h"

#include "common/dotenv.h"
#include "common/fs.h"
#include "common/wandb.h"

#include <ctype.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define VARIABLE   "WANDB_API_KEY"
#define CREDENTIAL "wandb_api_key"
#define STORED     "wandb.netrc"
#define MIN_LENGTH 40
#define MAX_LENGTH 4096 /* a JSON Web Token is long */
#define MAX_NETRC  (256 * 1024)

void key_guard(void)
{
	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

static const char *env(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* --- servers --- */

/* The host alone: https://api.wandb.ai:443/x -> api.wandb.ai.  Allocated. */
static char *host_of(const char *base_url)
{
	const char *host = strstr(base_url, "://");
	host = host ? host + 3 : base_url;
	return xasprintf("%.*s", (int)(*host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/")), host);
}

static bool same_server(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	while (n > 0 && a[n - 1] == '/')
		n--;
	while (m > 0 && b[m - 1] == '/')
		m--;
	return n == m && strncasecmp(a, b, n) == 0;
}

int wandb_own_base_url(const char **ret, struct err *err)
{
	const char *url = env("WANDB_BASE_URL");
	int r = url ? wandb_base_url_check(url, err) : 0;
	if (r < 0)
		return err_prefix(err, r, "WANDB_BASE_URL");
	*ret = url ? url : WANDB_DEFAULT_BASE_URL;
	return 0;
}

/* --- what a key is --- */

/* "abc.def.ghi" */
static bool is_token(const char *key)
{
	int parts = 1;
	for (const char *p = key; *p; p++) {
		if (*p == '.' && (p == key || p[-1] == '.' || !p[1]))
			return false;
		parts += *p == '.';
	}
	return parts == 3;
}

int wandb_key_check(const char *key, struct err *err)
{
	size_t n = strlen(key);
	for (const char *p = key; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_' && *p != '.')
			return err_set(err, -EINVAL,
				       "not a key of W&B: it holds a character that keys do not have\n  expected: "
				       "letters, digits, - and _");
	if (n > MAX_LENGTH || (strchr(key, '.') ? !is_token(key) : n < MIN_LENGTH))
		return err_set(err, -EINVAL,
			       "not a key of W&B: it has %zu characters\n  expected: %d or more, as on "
			       "https://wandb.ai/authorize",
			       n, MIN_LENGTH);
	return 0;
}

/* Takes value over, without blanks at its ends.  1: it is the key; 0: it is empty; < 0: it cannot be one. */
static int take(struct wandb_key *ret, char *value, char *source, struct err *err)
{
	size_t from = strspn(value, " \t\r\n"), n = strlen(value);
	while (n > from && isspace((unsigned char)value[n - 1]))
		n--;
	*ret = (struct wandb_key){.key = strndup(value + from, n - from), .source = source};
	wipe(value);
	int r = *ret->key ? wandb_key_check(ret->key, err) : 0;
	if (r < 0)
		err_prefix(err, r, "%s", ret->source);
	r = r < 0 ? r : *ret->key != '\0';
	if (r <= 0)
		wandb_key_fini(ret);
	return r;
}

void wandb_key_fini(struct wandb_key *key)
{
	wipe(key->key);
	free(key->source);
	free(key->warning);
	*key = (struct wandb_key){0};
}

/* --- where it is: 1: there; 0: not there; < 0: an error --- */

struct search {
	const struct wandb_key_places *places;
	char *host;
	char *looked; /* "WANDB_API_KEY, ..." */
	int trouble;  /* the first file that cannot be read, told when nothing else has a key */
	struct err why;
};

static void looked_in(struct search *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void looked_in(struct search *s, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	autofree char *place = xvasprintf(fmt, ap);
	va_end(ap);
	char *all = xasprintf("%s%s%s", s->looked ? s->looked : "", s->looked ? "\n             " : "", place);
	free(s->looked);
	s->looked = all;
}

static void troubled(struct search *s, int r, const struct err *err)
{
	if (s->trouble)
		return;
	s->trouble = r;
	s->why = *err;
}

/* Whether the keys of this program's own surroundings may go to the sweep's server. */
static bool ours_may_go(const struct search *s)
{
	const char *own;
	if (s->places->owner == geteuid())
		return true;
	return wandb_own_base_url(&own, NULL) == 0 && same_server(own, s->places->base_url);
}

static int in_environment(struct search *s, struct wandb_key *ret, struct err *err)
{
	const char *value = env(VARIABLE);
	looked_in(s, "the environment: " VARIABLE);
	return value && ours_may_go(s) ? take(ret, xstrdup(value), xstrdup(VARIABLE), err) : 0;
}

static int in_credentials(struct search *s, struct wandb_key *ret, struct err *err)
{
	const char *dir = env("CREDENTIALS_DIRECTORY");
	char *text;
	struct err why;
	if (!dir)
		return 0;
	autofree char *path = xasprintf("%s/" CREDENTIAL, dir);
	looked_in(s, "systemd's credential " CREDENTIAL);
	if (!fs_exists(path) || !ours_may_go(s))
		return 0;
	int r = fs_read_file(path, MAX_LENGTH + 2, &text, NULL, &why);
	if (r < 0) {
		troubled(s, r, &why);
		return 0;
	}
	return take(ret, text, xstrdup("systemd's credential " CREDENTIAL), err);
}

static int in_dotenv(struct search *s, struct wandb_key *ret, struct err *err)
{
	struct dotenv d;
	struct err why;
	if (!s->places->file_dir)
		return 0;
	looked_in(s, ".env in %s or above it", s->places->file_dir);
	int r = dotenv_find(s->places->file_dir, VARIABLE, s->places->owner, &d, &why);
	if (r < 0) {
		if (r != -ENOENT)
			troubled(s, r, &why);
		return 0;
	}
	r = take(ret, xstrdup(d.value), xstrdup(d.path), err);
	if (r > 0 && d.open)
		ret->warning = xasprintf("%s holds your API key and others can read it\n  do this:  chmod 600 %s",
					 d.path, d.path);
	dotenv_fini(&d);
	return r;
}

static int in_netrc(struct search *s, const char *path, struct wandb_key *ret, struct err *err)
{
	char *text;
	struct err why;
	struct stat st;
	looked_in(s, "%s: machine %s", path, s->host);
	if (stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	int r = fs_read_file(path, MAX_NETRC, &text, NULL, &why);
	if (r < 0) {
		troubled(s, r, &why);
		return 0;
	}
	char *password = netrc_password(text, s->host);
	wipe(text);
	r = password ? take(ret, password, xasprintf("%s", path), err) : 0;
	if (r > 0 && (st.st_mode & (S_IRGRP | S_IROTH)))
		ret->warning =
			xasprintf("%s holds your API key and others can read it\n  do this:  chmod 600 %s", path, path);
	return r;
}

static int stored(struct search *s, struct wandb_key *ret, struct err *err)
{
	autofree char *path = s->places->config ? xasprintf("%s/" STORED, s->places->config) : NULL;
	return path ? in_netrc(s, path, ret, err) : 0;
}

static int in_home(struct search *s, struct wandb_key *ret, struct err *err)
{
	const char *home = env("HOME"), *netrc = env("NETRC");
	autofree char *path = netrc ? xstrdup(netrc) : home ? xasprintf("%s/.netrc", home) : NULL;
	return path ? in_netrc(s, path, ret, err) : 0;
}

int wandb_key_find(const struct wandb_key_places *places, struct wandb_key *ret, struct err *err)
{
	static int (*const search_in[])(struct search * s, struct wandb_key * ret, struct err * err) = {
		in_environment, in_credentials, in_dotenv, stored, in_home,
	};
	struct search s = {.places = places, .host = host_of(places->base_url)};
	struct wandb_key key;
	int r = 0;
	for (size_t i = 0; i < ARRAY_LEN(search_in) && r == 0; i++)
		r = search_in[i](&s, &key, err);
	if (r > 0)
		*ret = key;
	else if (r == 0 && s.trouble)
		r = err_set(err, s.trouble, "no API key for %s: %s", s.host, s.why.text);
	else if (r == 0)
		r = err_set(err, -ENOKEY, "no API key for %s\n  looked in: %s\n  do this:  sweepctl wandb login",
			    s.host, s.looked);
	free(s.host);
	free(s.looked);
	return r < 0 ? r : 0;
}

/* --- the stored ones --- */

char *key_config_dir(const char *dir)
{
	const char *home = env("HOME"), *config = env("XDG_CONFIG_HOME");
	dir = dir ? dir : env("SWEEPD_DIR");
	if (dir)
		return xstrdup(dir);
	if (config)
		return xasprintf("%s/sweepd", config);
	return home ? xasprintf("%s/.config/sweepd", home) : NULL;
}

int wandb_key_store(const char *config, const char *base_url, const char *key, char **ret_path, struct err *err)
{
	char *text = NULL;
	bool had;
	autofree char *path = xasprintf("%s/" STORED, config), *host = host_of(base_url);
	int r = key ? wandb_key_check(key, err) : 0;
	r = r ? r : fs_mkdirs(config, 0700, err);
	if (r == 0 && fs_exists(path))
		r = fs_read_file(path, MAX_NETRC, &text, NULL, err);
	if (r < 0)
		return r;
	char *with = netrc_with(text ? text : "", host, key, &had);
	wipe(text);
	if (!key && !had)
		r = err_set(err, -ENOENT, "%s has no key for %s", path, host);
	else
		r = fs_write_file(path, with, strlen(with), 0600, err);
	wipe(with);
	if (r == 0)
		*ret_path = steal_ptr(path);
	return r;
}
