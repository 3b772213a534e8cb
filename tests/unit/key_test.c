/* Where W&B's API key is found, in which order, for which server, and that no text given out holds it. */
#include "cmocka_all.h"

#include "common/dotenv.h"
#include "common/fs.h"
#include "forward/key.h"
#include "forward/netrc.h"

#include <sys/stat.h>
#include <unistd.h>

#define URL	  "https://api.wandb.ai"
#define KEY(last) "0123456789abcdef0123456789abcdef0123456" #last

struct place {
	char *dir, *sweeps; /* sweeps: DIR/project/sweeps */
	struct wandb_key_places places;
};

static void write_file(const char *dir, const char *name, mode_t mode, const char *text)
{
	struct err err;
	autofree char *path = xasprintf("%s/%s", dir, name);
	assert_int_equal(fs_write_file(path, text, strlen(text), mode, &err), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static int make_place(void **state)
{
	struct err err;
	struct place *p = xcalloc(1, sizeof(*p));
	static const char *const variables[] = {"WANDB_API_KEY", "CREDENTIALS_DIRECTORY", "WANDB_BASE_URL", "NETRC"};
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		unsetenv(variables[i]);
	p->dir = temp_dir();
	p->sweeps = xasprintf("%s/project/sweeps", p->dir);
	assert_int_equal(fs_mkdirs(p->sweeps, 0700, &err), 0);
	setenv("HOME", p->dir, 1);
	p->places = (struct wandb_key_places){URL, p->sweeps, p->dir, geteuid()};
	*state = p;
	return 0;
}

static int remove_place(void **state)
{
	struct place *p = *state;
	free(p->sweeps);
	temp_dir_remove(p->dir);
	free(p);
	return 0;
}

static void must_find(struct place *p, const char *key, const char *source)
{
	struct err err = {""};
	struct wandb_key found;
	if (wandb_key_find(&p->places, &found, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(found.key, key);
	assert_non_null(strstr(found.source, source));
	assert_null(strstr(found.source, key));
	assert_true(!found.warning || !strstr(found.warning, key));
	wandb_key_fini(&found);
}

static void must_not_find(struct place *p, int code, const char *said)
{
	struct err err = {""};
	struct wandb_key found = {0};
	assert_int_equal(wandb_key_find(&p->places, &found, &err), code);
	assert_null(found.key);
	if (!strstr(err.text, said))
		fail_msg("\"%s\" is not in: %s", said, err.text);
	assert_null(strstr(err.text, "0123456789abc"));
}

/* The last place first: each further one wins over those before. */
static void test_places_in_their_order(void **state)
{
	struct place *p = *state;
	char *path;
	struct err err;
	must_not_find(p, -ENOKEY, "do this:  sweepctl wandb login");
	must_not_find(p, -ENOKEY, "/.netrc: machine api.wandb.ai");
	write_file(p->dir, ".netrc", 0600, "machine example.org login a password b\nmachine api.wandb.ai\n\tlogin user\n\tpassword " KEY(1) "\n");
	must_find(p, KEY(1), "/.netrc");
	assert_int_equal(wandb_key_store(p->dir, URL, KEY(2), &path, &err), 0);
	must_find(p, KEY(2), "/wandb.netrc");
	free(path);
	write_file(p->dir, ".env", 0600, "WANDB_API_KEY=" KEY(3) "\n");
	must_find(p, KEY(3), "/.env");
	write_file(p->sweeps, ".env", 0600, "OTHER=1\n export WANDB_API_KEY = \"" KEY(4) "\" # mine\r\n");
	must_find(p, KEY(4), "/project/sweeps/.env");
	setenv("CREDENTIALS_DIRECTORY", p->dir, 1);
	write_file(p->dir, "wandb_api_key", 0600, KEY(5) "\n");
	must_find(p, KEY(5), "credential");
	setenv("WANDB_API_KEY", KEY(6), 1);
	must_find(p, KEY(6), "WANDB_API_KEY");
}

static void test_a_bad_key_is_an_error_and_not_shown(void **state)
{
	struct place *p = *state;
	write_file(p->dir, ".netrc", 0600, "machine api.wandb.ai login user password " KEY(1) "\n");
	setenv("WANDB_API_KEY", "0123456789abcdef", 1);
	must_not_find(p, -EINVAL, "WANDB_API_KEY: not a key of W&B: it has 16 characters");
	setenv("WANDB_API_KEY", KEY(1) " " KEY(1), 1);
	must_not_find(p, -EINVAL, "it holds a character that keys do not have");
	setenv("WANDB_API_KEY", "", 1);
	must_find(p, KEY(1), "/.netrc");
}

/* Somebody else's sweep cannot have this program's own key sent to a server of theirs. */
static void test_a_key_goes_to_its_server(void **state)
{
	struct place *p = *state;
	char *path;
	struct err err;
	setenv("WANDB_API_KEY", KEY(1), 1);
	p->places.owner = geteuid() + 1;
	must_find(p, KEY(1), "WANDB_API_KEY");
	p->places.base_url = "https://evil.example.org";
	must_not_find(p, -ENOKEY, "no API key for evil.example.org");
	setenv("CREDENTIALS_DIRECTORY", p->dir, 1);
	write_file(p->dir, "wandb_api_key", 0600, KEY(2));
	assert_int_equal(wandb_key_store(p->dir, URL, KEY(3), &path, &err), 0);
	free(path);
	must_not_find(p, -ENOKEY, "no API key for evil.example.org");
	p->places.base_url = "http://lab:8080/";
	setenv("WANDB_BASE_URL", "http://lab:8080", 1);
	must_find(p, KEY(1), "WANDB_API_KEY");
	p->places.owner = geteuid();
	p->places.base_url = "https://evil.example.org";
	must_find(p, KEY(1), "WANDB_API_KEY");
}

static void test_files_that_others_can_read_are_told_of(void **state)
{
	struct place *p = *state;
	struct err err;
	struct wandb_key key;
	write_file(p->sweeps, ".env", 0644, "WANDB_API_KEY='" KEY(1) "'\n");
	assert_int_equal(wandb_key_find(&p->places, &key, &err), 0);
	assert_non_null(strstr(key.warning, "do this:  chmod 600"));
	wandb_key_fini(&key);
	write_file(p->sweeps, ".env", 0600, "WANDB_API_KEY='" KEY(1) "'\n");
	assert_int_equal(wandb_key_find(&p->places, &key, &err), 0);
	assert_null(key.warning);
	wandb_key_fini(&key);
}

static void test_stored_keys_have_a_server_each(void **state)
{
	struct place *p = *state;
	struct err err;
	struct stat st;
	char *path;
	autofree char *config = xasprintf("%s/new/sweepd", p->dir);
	p->places.config = config;
	assert_int_equal(wandb_key_store(config, URL, KEY(1), &path, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	free(path);
	assert_int_equal(wandb_key_store(config, "http://lab:8080", KEY(2), &path, &err), 0);
	free(path);
	assert_int_equal(wandb_key_store(config, URL, KEY(3), &path, &err), 0);
	free(path);
	must_find(p, KEY(3), "/new/sweepd/wandb.netrc");
	p->places.base_url = "http://lab:8080";
	must_find(p, KEY(2), "/new/sweepd/wandb.netrc");
	assert_int_equal(wandb_key_store(config, "http://lab", NULL, &path, &err), 0);
	free(path);
	must_not_find(p, -ENOKEY, "no API key for lab");
	assert_int_equal(wandb_key_store(config, "http://lab", NULL, &path, &err), -ENOENT);
	assert_int_equal(wandb_key_store(config, URL, "short", &path, &err), -EINVAL);
}

static void test_a_file_that_cannot_be_read_is_named(void **state)
{
	struct place *p = *state;
	struct err err;
	autofree char *in_the_way = xasprintf("%s/wandb.netrc", p->dir);
	assert_int_equal(fs_mkdirs(in_the_way, 0700, &err), 0);
	must_not_find(p, -EISDIR, "/wandb.netrc: Is a directory");
	write_file(p->dir, ".netrc", 0600, "machine api.wandb.ai login user password " KEY(2) "\n");
	must_find(p, KEY(2), "/.netrc");
}

static void test_keys(void **state)
{
	static const char *const good[] = {KEY(1), "local-" KEY(1), "wandb_v1_abcdefghijklmnopqrstuvwxyzABCDEFGHIJ", "ab.cd.ef"};
	static const char *const bad[] = {"", "abc", KEY(1) "\n", KEY(1) "/", "a.b", "a..b", ".a.b", "a.b.", "\xC3\xA9" KEY(1)};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(wandb_key_check(good[i], NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(wandb_key_check(bad[i], NULL), -EINVAL);
}

static void test_dotenv_lines(void **state)
{
	static const struct {
		const char *text, *value;
	} rows[] = {
		{"A=1", "1"}, {"A=1\nA=2\n", "2"}, {"AA=1\nB_A=2\n", NULL}, {"#A=1", NULL}, {"  A = 1  \n", "1"},
		{"export A=x y # z\n", "x y"}, {"A=x#y", "x#y"}, {"A=#y", ""}, {"A='x # y'", "x # y"}, {"A=\"x\\\"y\"", "x\"y"},
		{"A='un\nA=2", "2"}, {"A=", ""}, {"A\n=1", NULL}, {"\xEF\xBB\xBF" "A=1\r\n", "1"}, {"exportA=1", NULL}, {"A=\"\"", ""},
		{"A='a\\'b\\\\'", "a'b\\"}, {"A", NULL}, {"", NULL}, {"export", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		autofree char *value = dotenv_value(rows[i].text, "A");
		if (!rows[i].value)
			assert_null(value);
		else if (!value || !str_eq(value, rows[i].value))
			fail_msg("%s gives %s", rows[i].text, value ? value : "nothing");
	}
}

static void test_netrc_files(void **state)
{
	static const struct {
		const char *text, *password, *without;
	} rows[] = {
		{"machine h login u password p\n", "p", ""},
		{"machine x password q machine H password p machine y password r", "p", "machine x password q machine y password r"},
		{"default login u password p", NULL, "default login u password p"},
		{"machine h\n# password no\n  account a\n  password \"a \\\"b\"\nmachine z", "a \"b", "machine z"},
		{"macdef m\nmachine h password no\n\nmachine h password p", "p", "macdef m\nmachine h password no\n\n"},
		{"machine h", NULL, ""},
		{"machine", NULL, "machine"},
		{"machine x login machine password h", NULL, "machine x login machine password h"},
		{"# nothing", NULL, "# nothing"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool had;
		autofree char *password = netrc_password(rows[i].text, "h");
		autofree char *without = netrc_with(rows[i].text, "h", NULL, &had);
		autofree char *with = netrc_with(rows[i].text, "h", "new", &had);
		autofree char *again = netrc_password(with, "h");
		if (rows[i].password ? !password || !str_eq(password, rows[i].password) : password != NULL)
			fail_msg("%s gives %s", rows[i].text, password ? password : "nothing");
		assert_string_equal(without, rows[i].without);
		if (!strstr(rows[i].text, "machine x login machine") && !str_eq(rows[i].text, "machine"))
			assert_string_equal(again, "new");
	}
}

int main(void)
{
#define PLACED(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)
	const struct CMUnitTest tests[] = {
		PLACED(test_places_in_their_order),
		PLACED(test_a_bad_key_is_an_error_and_not_shown),
		PLACED(test_a_key_goes_to_its_server),
		PLACED(test_files_that_others_can_read_are_told_of),
		PLACED(test_stored_keys_have_a_server_each),
		PLACED(test_a_file_that_cannot_be_read_is_named),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_dotenv_lines),
		cmocka_unit_test(test_netrc_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
