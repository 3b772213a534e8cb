/* libyaml's events -> a tree of nodes with marks.  See doc.h.
 *
 * Plain scalars are resolved by YAML 1.2's core schema, which agrees with JSON on everything JSON has. */
#include "doc.h"

#include "json.h"

#include <math.h>
#include <yaml.h>

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the one under the cursor; owned */
	bool has_event;
	const char *text;
	size_t size, n_nodes;
	struct findings *findings;
};

static struct mark mark_of(yaml_mark_t m)
{
	return (struct mark){(int)m.line + 1, (int)m.column + 1};
}

/* libyaml tells the place of a bad byte only as an offset. */
static struct mark mark_at(const char *text, size_t offset)
{
	struct mark mark = {1, 1};
	for (size_t i = 0; i < offset && text[i]; i++) {
		if (text[i] == '\n')
			mark = (struct mark){mark.line + 1, 1};
		else if (((unsigned char)text[i] & 0xC0) != 0x80)
			mark.column++;
	}
	return mark;
}

static void say_syntax(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "unknown problem";
	if (p->error == YAML_READER_ERROR)
		findings_add(r->findings, mark_at(r->text, MIN(p->problem_offset, r->size)),
			     "not text: %s\n  expected: UTF-8 without control characters", problem);
	else
		findings_add(r->findings, mark_of(p->problem_mark), "not a JSON or YAML document: %s%s%s", problem,
			     p->context ? ", " : "", p->context ? p->context : "");
}

/* Moves to the next event; false at a syntax error (said). */
static bool advance(struct reader *r)
{
	if (r->has_event)
		yaml_event_delete(&r->event);
	r->has_event = yaml_parser_parse(&r->parser, &r->event);
	if (!r->has_event)
		say_syntax(r);
	return r->has_event;
}

static bool one_of(const char *s, const char *a, const char *b, const char *c)
{
	return str_eq(s, a) || str_eq(s, b) || str_eq(s, c);
}

static size_t span_digits(const char *s)
{
	return strspn(s, "0123456789");
}

/* [-+]? ( \. digits | digits ( \. digits? )? ) ( [eE] [-+]? digits )?  *whole: digits alone. */
static bool looks_like_number(const char *s, bool *whole)
{
	s += *s == '-' || *s == '+';
	size_t before = span_digits(s);
	s += before;
	*whole = before && !*s;
	if (*s == '.') {
		size_t after = span_digits(++s);
		if (!before && !after)
			return false;
		s += after;
	} else if (!before) {
		return false;
	}
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '-' || *s == '+';
		size_t digits = span_digits(s);
		if (!digits)
			return false;
		s += digits;
	}
	return !*s;
}

/* 0x1F and 0o17 of the core schema. */
static bool prefixed_integer(const char *s, int64_t *ret)
{
	int base = strncmp(s, "0x", 2) == 0 ? 16 : strncmp(s, "0o", 2) == 0 ? 8 : 0;
	const char *digits = base == 16 ? "0123456789abcdefABCDEF" : "01234567";
	if (!base || !s[2] || s[2 + strspn(s + 2, digits)])
		return false;
	errno = 0;
	*ret = strtoll(s + 2, NULL, base);
	return errno == 0;
}

static bool infinite_or_nan(const char *s, double *ret)
{
	const char *body = s + (*s == '-' || *s == '+');
	if (one_of(body, ".inf", ".Inf", ".INF")) {
		*ret = *s == '-' ? -INFINITY : INFINITY;
		return true;
	}
	*ret = NAN;
	return one_of(s, ".nan", ".NaN", ".NAN");
}

/* What a scalar without quotes means. */
static void resolve_plain(struct node *node)
{
	const char *s = node->text;
	bool whole = false;
	if (!*s || str_eq(s, "~") || one_of(s, "null", "Null", "NULL")) {
		node->kind = NODE_NULL;
	} else if (one_of(s, "true", "True", "TRUE") || one_of(s, "false", "False", "FALSE")) {
		node->kind = NODE_BOOL;
		node->boolean = s[0] == 't' || s[0] == 'T';
	} else if (prefixed_integer(s, &node->integer)) {
		node->kind = NODE_INT;
	} else if (infinite_or_nan(s, &node->real)) {
		node->kind = NODE_REAL;
	} else if (looks_like_number(s, &whole)) {
		errno = 0;
		node->integer = whole ? strtoll(s, NULL, 10) : 0;
		node->kind = whole && errno == 0 ? NODE_INT : NODE_REAL;
		node->real = strtod(s, NULL);
	}
}

static struct node *node_new(struct reader *r, enum node_kind kind)
{
	struct node *node = xcalloc(1, sizeof(*node));
	node->kind = kind;
	node->mark = mark_of(r->event.start_mark);
	if (++r->n_nodes == DOC_MAX_NODES + 1)
		findings_add(r->findings, node->mark, "more than %d values in one file", DOC_MAX_NODES);
	return node;
}

static bool too_much(const struct reader *r)
{
	return r->n_nodes > DOC_MAX_NODES;
}

static struct node *scalar_node(struct reader *r)
{
	struct node *node = node_new(r, NODE_STR);
	const char *bytes = (const char *)r->event.data.scalar.value;
	size_t size = r->event.data.scalar.length;
	node->text = xmalloc(size + 1);
	memcpy(node->text, bytes, size);
	node->text[size] = '\0';
	if (strlen(node->text) != size)
		findings_add(r->findings, node->mark, "a text holds a NUL character");
	if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		resolve_plain(node);
	if (node->kind == NODE_REAL && isinf(node->real) && !strcasestr(node->text, "inf"))
		findings_add(r->findings, node->mark, "%.40s is too large a number", node->text);
	return node;
}

/* Anchors and tags would make a value mean something that does not stand there. */
static void refuse_decorations(struct reader *r)
{
	yaml_char_t *anchor = NULL, *tag = NULL;
	switch (r->event.type) {
	case YAML_SCALAR_EVENT:
		anchor = r->event.data.scalar.anchor;
		tag = r->event.data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = r->event.data.sequence_start.anchor;
		tag = r->event.data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = r->event.data.mapping_start.anchor;
		tag = r->event.data.mapping_start.tag;
		break;
	default: /* libyaml's enum: the others carry none */
		break;
	}
	if (anchor || tag)
		findings_add(r->findings, mark_of(r->event.start_mark), "%s are not taken here\n  expected: the value itself",
			     anchor ? "anchors (&name)" : "tags (!name)");
}

static struct node *read_node(struct reader *r, int depth);

static void append(struct node *node, struct node *item)
{
	if ((node->n_items & (node->n_items - 1)) == 0) /* room doubles: at 0, 1, 2, 4, 8 ... items */
		node->items = xrealloc_array(node->items, MAX(node->n_items * 2, (size_t)1), sizeof(node->items[0]));
	node->items[node->n_items++] = item;
}

static struct node *read_list(struct reader *r, int depth)
{
	struct node *list = node_new(r, NODE_LIST);
	while (advance(r) && r->event.type != YAML_SEQUENCE_END_EVENT) {
		struct node *item = read_node(r, depth + 1);
		if (!item)
			break;
		append(list, item);
	}
	if (r->has_event && r->event.type == YAML_SEQUENCE_END_EVENT)
		return list;
	node_free(list);
	return NULL;
}

static void check_duplicate(struct reader *r, const struct node *map, const struct node *key)
{
	struct mark first;
	if (node_get(map, key->text, &first))
		findings_add(r->findings, key->mark, "key \"%.60s\" stands twice in one map\n  expected: it once; the other is in line %d",
			     key->text, first.line);
}

/* Key and value; false: the tree cannot be read on. */
static bool read_member(struct reader *r, struct node *map, int depth)
{
	if (r->event.type != YAML_SCALAR_EVENT) {
		findings_add(r->findings, mark_of(r->event.start_mark), "a key is a word, not a list or a map");
		return false;
	}
	struct node *key = read_node(r, depth);
	check_duplicate(r, map, key);
	struct node *value = advance(r) ? read_node(r, depth + 1) : NULL;
	if (value) {
		size_t n = map->n_items;
		append(map, value);
		map->keys = xrealloc_array(map->keys, n + 1, sizeof(map->keys[0]));
		map->key_marks = xrealloc_array(map->key_marks, n + 1, sizeof(map->key_marks[0]));
		map->keys[n] = steal_ptr(key->text);
		map->key_marks[n] = key->mark;
	}
	node_free(key);
	return value;
}

#define MAX_KEYS 2000 /* of one map: what a search for duplicates in a list can bear */

static struct node *read_map(struct reader *r, int depth)
{
	struct node *map = node_new(r, NODE_MAP);
	while (advance(r) && r->event.type != YAML_MAPPING_END_EVENT) {
		if (map->n_items == MAX_KEYS)
			findings_add(r->findings, map->mark, "more than %d keys in one map", MAX_KEYS);
		if (map->n_items == MAX_KEYS || !read_member(r, map, depth))
			break;
	}
	if (r->has_event && r->event.type == YAML_MAPPING_END_EVENT)
		return map;
	node_free(map);
	return NULL;
}

/* The value that begins with the event under the cursor; NULL when it cannot be read (said). */
static struct node *read_node(struct reader *r, int depth)
{
	struct mark mark = mark_of(r->event.start_mark);
	if (depth > DOC_MAX_DEPTH || too_much(r)) {
		if (!too_much(r))
			findings_add(r->findings, mark, "nested more than %d deep", DOC_MAX_DEPTH);
		return NULL;
	}
	refuse_decorations(r);
	switch (r->event.type) {
	case YAML_SCALAR_EVENT:
		return scalar_node(r);
	case YAML_SEQUENCE_START_EVENT:
		return read_list(r, depth);
	case YAML_MAPPING_START_EVENT:
		return read_map(r, depth);
	case YAML_ALIAS_EVENT:
		findings_add(r->findings, mark, "aliases (*name) are not taken here\n  expected: the value itself");
		return NULL;
	default: /* libyaml's enum: the rest begins no value */
		findings_add(r->findings, mark, "expected a value");
		return NULL;
	}
}

/* STREAM-START, DOCUMENT-START, the value, DOCUMENT-END, STREAM-END. */
static struct node *read_stream(struct reader *r)
{
	if (!advance(r) || !advance(r))
		return NULL;
	if (r->event.type == YAML_STREAM_END_EVENT) {
		findings_add(r->findings, (struct mark){1, 1}, "the file is empty");
		return NULL;
	}
	struct node *root = advance(r) ? read_node(r, 0) : NULL;
	if (!root)
		return NULL;
	bool ended = advance(r) && advance(r);
	if (ended && r->event.type != YAML_STREAM_END_EVENT)
		findings_add(r->findings, mark_of(r->event.start_mark), "a second document\n  expected: one document a file");
	if (ended && r->event.type == YAML_STREAM_END_EVENT)
		return root;
	node_free(root);
	return NULL;
}

struct node *doc_parse(const char *text, size_t size, struct findings *f)
{
	struct reader r = {.text = text, .size = size, .findings = f};
	size_t errors = f->n_errors;
	if (size > DOC_MAX_BYTES) {
		findings_add(f, (struct mark){0}, "the file has %zu bytes; at most %d are read", size, DOC_MAX_BYTES);
		return NULL;
	}
	if (!yaml_parser_initialize(&r.parser))
		BUG("out of memory");
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
	struct node *root = read_stream(&r);
	if (r.has_event)
		yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	if (f->n_errors == errors)
		return root;
	node_free(root);
	return NULL;
}

void node_free(struct node *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->n_items; i++) {
		node_free(node->items[i]);
		if (node->keys)
			free(node->keys[i]);
	}
	free(node->items);
	free(node->keys);
	free(node->key_marks);
	free(node->text);
	free(node);
}

struct node *node_get(const struct node *map, const char *key, struct mark *ret_key_mark)
{
	for (size_t i = 0; map->kind == NODE_MAP && i < map->n_items; i++)
		if (str_eq(map->keys[i], key)) {
			if (ret_key_mark)
				*ret_key_mark = map->key_marks[i];
			return map->items[i];
		}
	return NULL;
}

json_t *node_json(const struct node *node)
{
	json_t *j = NULL;
	switch (node->kind) {
	case NODE_NULL:
		return json_null();
	case NODE_BOOL:
		return json_boolean(node->boolean);
	case NODE_INT:
		return json_integer(node->integer);
	case NODE_REAL:
		return json_num(node->real);
	case NODE_STR:
		return json_string(node->text);
	case NODE_LIST:
		j = json_array();
		for (size_t i = 0; i < node->n_items; i++)
			json_array_append_new(j, node_json(node->items[i]));
		return j;
	case NODE_MAP:
		j = json_object();
		for (size_t i = 0; i < node->n_items; i++)
			json_object_set_new(j, node->keys[i], node_json(node->items[i]));
		return j;
	}
	BUG("node kind");
}

struct node *node_scalar(const char *text)
{
	struct findings ignored = {0};
	struct node *node = doc_parse(text, strlen(text), &ignored);
	findings_fini(&ignored);
	if (node && node->kind != NODE_LIST && node->kind != NODE_MAP) {
		node->mark = (struct mark){0, 0};
		return node;
	}
	node_free(node);
	return NULL;
}

const char *node_kind_name(const struct node *node)
{
	switch (node->kind) {
	case NODE_NULL:
		return "nothing";
	case NODE_BOOL:
		return "true or false";
	case NODE_INT:
	case NODE_REAL:
		return "a number";
	case NODE_STR:
		return "text";
	case NODE_LIST:
		return "a list";
	case NODE_MAP:
		return "a map";
	}
	BUG("node kind");
}
