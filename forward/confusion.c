/* See confusion.h: the file's reader. */
#include "confusion.h"

#include "common/json.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define NESTED_MAX 8 /* of what is passed over */
#define TEXT_MAX   4096

struct cursor {
	const char *begin, *at; /* ends in a NUL */
};

static int bad(const struct cursor *c, const char *expected, struct err *err)
{
	return err_set(err, -EINVAL, "byte %zu: expected %s", (size_t)(c->at - c->begin), expected);
}

static void skip_space(struct cursor *c)
{
	c->at += strspn(c->at, " \t\r\n");
}

static bool take(struct cursor *c, char sign)
{
	skip_space(c);
	if (*c->at != sign)
		return false;
	c->at++;
	return true;
}

/* Of a list or a map, which `close` ends: 1: another item follows, 0: it has ended. */
static int next_item(struct cursor *c, bool first, char close, struct err *err)
{
	if (take(c, close))
		return 0;
	return first || take(c, ',') ? 1 : bad(c, close == ']' ? "\",\" or \"]\"" : "\",\" or \"}\"", err);
}

/* The end of the text literal that begins there; NULL: it has none. */
static const char *text_end(const char *at)
{
	for (at++; *at && *at != '"'; at++)
		if (*at == '\\' && !*++at)
			return NULL;
	return *at ? at + 1 : NULL;
}

/* Allocated. */
static int read_text(struct cursor *c, char **ret, struct err *err)
{
	skip_space(c);
	const char *end = *c->at == '"' ? text_end(c->at) : NULL;
	autojson json_t *text = end && end - c->at <= TEXT_MAX ? json_loadb(c->at, (size_t)(end - c->at), JSON_DECODE_ANY, NULL)
							       : NULL;
	if (!text)
		return bad(c, "a text", err);
	*ret = xstrdup(json_string_value(text));
	c->at = end;
	return 0;
}

static int read_count(struct cursor *c, uint32_t *ret, struct err *err)
{
	uint64_t value = 0;
	skip_space(c);
	const char *digit = c->at;
	for (; *digit >= '0' && *digit <= '9' && value <= UINT32_MAX; digit++)
		value = 10 * value + (uint64_t)(*digit - '0');
	if (digit == c->at || value > UINT32_MAX)
		return bad(c, "a number of images", err);
	*ret = (uint32_t)value;
	c->at = digit;
	return 0;
}

/* Of whatever it is, as far as its brackets and quotes go. */
static int skip_value(struct cursor *c, struct err *err)
{
	int depth = 0;
	skip_space(c);
	do {
		const char *end = c->at;
		if (*end == '"')
			end = text_end(end);
		else if (*end)
			end++;
		else
			end = NULL;
		if (!end)
			return bad(c, "the rest of a value", err);
		depth += (*c->at == '{' || *c->at == '[') - (*c->at == '}' || *c->at == ']');
		if (depth < 0 || depth > NESTED_MAX)
			return bad(c, "a value", err);
		c->at = end;
		if (depth == 0)
			skip_space(c);
	} while (depth > 0 || (*c->at && !strchr(",}]", *c->at)));
	return 0;
}

static int read_names(struct cursor *c, struct confusion *into, struct err *err)
{
	int r;
	if (into->names || !take(c, '['))
		return bad(c, "one list of classes", err);
	into->names = xcalloc(CONFUSION_CLASSES_MAX, sizeof(*into->names));
	while ((r = next_item(c, into->n == 0, ']', err)) == 1) {
		if (into->n == CONFUSION_CLASSES_MAX)
			return bad(c, "at most 1000 classes", err);
		r = read_text(c, &into->names[into->n], err);
		if (r < 0)
			return r;
		into->n++;
	}
	return r < 0 || into->n ? r : bad(c, "a class", err);
}

static int read_matrix(struct cursor *c, struct confusion *into, struct err *err)
{
	int r = 0;
	size_t n = into->n;
	if (!n)
		return bad(c, "the classes before a matrix", err);
	free(into->counts);
	into->counts = xcalloc(n * n, sizeof(*into->counts));
	if (!take(c, '['))
		return bad(c, "a list of rows", err);
	for (size_t row = 0; r == 0 && row < n; row++) {
		if ((row && !take(c, ',')) || !take(c, '['))
			return bad(c, "a row for each class", err);
		for (size_t k = 0; r == 0 && k < n; k++)
			r = k && !take(c, ',') ? bad(c, "a count for each class", err)
					       : read_count(c, &into->counts[row * n + k], err);
		if (r == 0 && !take(c, ']'))
			r = bad(c, "\"]\"", err);
	}
	return r == 0 && !take(c, ']') ? bad(c, "\"]\"", err) : r;
}

/* A map, member by member. */
static int read_map(struct cursor *c, struct confusion *into,
		    int (*member)(struct cursor *c, const char *key, struct confusion *into, struct err *err), struct err *err)
{
	int r;
	bool first = true;
	if (!take(c, '{'))
		return bad(c, "\"{\"", err);
	while ((r = next_item(c, first, '}', err)) == 1) {
		autofree char *key = NULL;
		r = read_text(c, &key, err);
		if (r == 0 && !take(c, ':'))
			r = bad(c, "\":\"", err);
		r = r ? r : member(c, key, into, err);
		if (r < 0)
			return r;
		first = false;
	}
	return r;
}

static int test_member(struct cursor *c, const char *key, struct confusion *into, struct err *err)
{
	uint32_t epoch = 0;
	if (str_eq(key, "matrix"))
		return read_matrix(c, into, err);
	if (!str_eq(key, "epoch"))
		return skip_value(c, err);
	int r = read_count(c, &epoch, err);
	if (r == 0)
		into->epoch = epoch;
	return r;
}

static int file_member(struct cursor *c, const char *key, struct confusion *into, struct err *err)
{
	if (str_eq(key, "dataset") && !into->dataset)
		return read_text(c, &into->dataset, err);
	if (str_eq(key, "classes"))
		return read_names(c, into, err);
	return str_eq(key, "best") ? read_map(c, into, test_member, err) : skip_value(c, err);
}

static int parse(struct confusion *into, const char *text, struct err *err)
{
	struct cursor c = {text, text};
	int r = read_map(&c, into, file_member, err);
	if (r == 0 && !into->counts)
		r = bad(&c, "the matrix of \"best\"", err);
	skip_space(&c);
	return r == 0 && *c.at ? bad(&c, "the end", err) : r;
}

/* A plain file alone: nothing that a read waits for. */
static int read_bytes(const char *path, char **ret, struct err *err)
{
	struct stat st;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, -errno, "cannot open %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > CONFUSION_BYTES_MAX)
		return err_set(err, -EINVAL, "%s: expected a plain file of at most %d bytes", path, CONFUSION_BYTES_MAX);
	autofree char *bytes = xcalloc((size_t)st.st_size + 1, 1);
	size_t size = 0;
	for (ssize_t n = 1; n > 0 && size < (size_t)st.st_size; size += (size_t)MAX(n, 0)) {
		n = read(fd, bytes + size, (size_t)st.st_size - size);
		if (n < 0 && errno != EINTR)
			return err_sys(err, -errno, "cannot read %s", path);
		n = n < 0 ? 1 : n;
	}
	*ret = steal_ptr(bytes);
	return 0;
}

int confusion_read(struct confusion *ret, const char *path, struct err *err)
{
	autofree char *text = NULL;
	struct confusion c = {0};
	int r = read_bytes(path, &text, err);
	if (r < 0)
		return r;
	r = parse(&c, text, err);
	if (r < 0) {
		confusion_fini(&c);
		return err_prefix(err, r, "%s", path);
	}
	*ret = c;
	return 0;
}

void confusion_fini(struct confusion *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->names[i]);
	free(c->names);
	free(c->dataset);
	free(c->counts);
	*c = (struct confusion){0};
}
