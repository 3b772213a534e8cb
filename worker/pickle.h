/* Pickles as torch.save() writes them (protocol 2), read without executing anything.
 *
 * A pickle is a program for a stack machine, whose instructions may name any Python function and call it.  This is that
 * machine with nothing behind it: a name must be on the caller's list, and a call becomes a node that says what would
 * have been called.  Opcodes are those that torch.save() writes and torch's own weights_only reader takes
 * (Lib/pickletools.py of CPython, torch/_weights_only_unpickler.py); any other is an error.
 *
 * Memory is bounded: PICKLE_MAX_STEPS instructions, each of which makes at most one node and one reference.  Nodes may
 * be shared and may contain themselves, as in Python: whoever walks them goes a fixed number of levels deep. */
#pragma once

#include "common/base.h"

#define PICKLE_MAX_STEPS 1000000

enum pickle_kind {
	PICKLE_NONE,
	PICKLE_BOOL,
	PICKLE_INT,
	PICKLE_BIG,   /* an int of more than 8 bytes, two's complement, little-endian */
	PICKLE_FLOAT,
	PICKLE_STRING,
	PICKLE_TUPLE,
	PICKLE_LIST,
	PICKLE_DICT,	   /* and collections.OrderedDict */
	PICKLE_GLOBAL,	   /* a name of the caller's list */
	PICKLE_CALL,	   /* fn(*args), then its state where it was given one */
	PICKLE_PERSISTENT, /* what the id stands for: a storage */
};

struct pickle_node {
	enum pickle_kind kind;
	union {
		int64_t integer; /* INT, BOOL */
		double real;
		struct { /* STRING, BIG; borrowed from the pickle's bytes, not terminated, not checked for UTF-8 */
			const char *bytes;
			size_t size;
		} text;
		const char *name; /* GLOBAL: the caller's own pointer */
		struct {	  /* TUPLE, LIST; DICT: key, value, key, value */
			struct pickle_node **items;
			size_t n, room;
		} list;
		struct {
			const char *fn; /* CALL */
			const struct pickle_node *args, *state; /* args: a TUPLE; PERSISTENT: the id; state: NULL: none */
		} call;
	};
};

struct pickle;

/* Reads one pickle at the start of bytes, which must stay while it is used.  names: "module name" of what may be named,
 * ended by NULL.  ret_used: bytes of the pickle, at most size.  -EBADMSG: damaged, or holds what is not on the lists;
 * the sentence has no place in it. */
int pickle_read(struct pickle **ret, const void *bytes, size_t size, const char *const *names, size_t *ret_used,
		struct err *err);
const struct pickle_node *pickle_root(const struct pickle *p);
/* Every node in order of its making; NULL past the end. */
const struct pickle_node *pickle_node_at(const struct pickle *p, size_t i);
void pickle_free(struct pickle *p);

/* Item i of a tuple or list, if it is of this kind; else NULL.  node may be NULL. */
const struct pickle_node *pickle_item(const struct pickle_node *node, size_t i, enum pickle_kind kind);
/* The value of that key, or NULL. */
const struct pickle_node *pickle_get(const struct pickle_node *dict, const char *key);
bool pickle_is_text(const struct pickle_node *node, const char *text);
