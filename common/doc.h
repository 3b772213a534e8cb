/* A JSON or YAML document as one tree in which every key and value knows its line and column, and the list of what is
 * wrong with it.  Both languages go through libyaml's event parser (JSON is YAML 1.2), resolved by the 1.2 core
 * schema: 5e-4 is a number, `no` is text; duplicate keys, anchors, aliases and tags are errors. */
#pragma once

#include "base.h"

#include <jansson.h>

struct mark { /* 1-based; {0, 0}: no place in the text (an --override) */
	int line, column;
};

enum node_kind { NODE_NULL, NODE_BOOL, NODE_INT, NODE_REAL, NODE_STR, NODE_LIST, NODE_MAP };

struct node {
	enum node_kind kind;
	struct mark mark;
	bool boolean;
	int64_t integer;
	double real;
	char *text; /* as written: of every scalar */
	struct node **items; /* NODE_LIST: values; NODE_MAP: values */
	struct mark *key_marks;
	char **keys;	     /* NODE_MAP */
	size_t n_items;
};

/* What was found, in the order of the text.  Printed in gcc's shape, so that editors jump to it. */
struct finding {
	bool warning;
	struct mark mark;
	char *text; /* first line: the sentence; then lines "  expected: ..." and "  do this:  ..." */
};
struct findings {
	struct finding *items;
	size_t n_items, n_errors;
};
void findings_add(struct findings *f, struct mark mark, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void findings_warn(struct findings *f, struct mark mark, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "FILE:LINE:COLUMN: error: SENTENCE", the source line, a caret, expected, do this; allocated, all of them.  Sorted by
 * place. */
char *findings_print(const struct findings *f, const char *file_name, const char *text);
void findings_fini(struct findings *f);

#define DOC_MAX_BYTES (1024 * 1024)
#define DOC_MAX_DEPTH 32
#define DOC_MAX_NODES 200000

/* Parses text (any bytes; bounded by the limits above).  NULL when it is not a document; the reasons are in f. */
struct node *doc_parse(const char *text, size_t size, struct findings *f);
void node_free(struct node *node);
/* Value of a key, or NULL; ret_key_mark may be NULL. */
struct node *node_get(const struct node *map, const char *key, struct mark *ret_key_mark);
/* The same value as JSON.  New reference. */
json_t *node_json(const struct node *node);
/* Text of a scalar value alone, as in --override lr=0.1; NULL when it is not one. */
struct node *node_scalar(const char *text);
const char *node_kind_name(const struct node *node); /* "text", "a number", "a list", ... */
