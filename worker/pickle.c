/* See pickle.h.  To add an opcode: its function, its row in ops[]. */
#include "pickle.h"

#include "bytes.h"

#include <endian.h>

#define CHUNK_NODES 1024
#define MAX_NAME    200 /* "module name" */

struct pickle {
	struct pickle_node **chunks; /* of CHUNK_NODES each, so that nodes stay where they are */
	size_t n_nodes;
	const struct pickle_node *root;
};

/* While reading. */
struct machine {
	struct pickle *pickle;
	const uint8_t *bytes;
	size_t size, at;
	const char *const *names;
	struct pickle_node **stack, **memo;
	size_t *marks; /* heights of the stack */
	size_t n_stack, stack_room, n_memo, n_marks, marks_room, steps;
	struct err *err;
};

static int bad(struct machine *m, const char *what)
{
	err_set(m->err, -EBADMSG, "damaged pickle: %s at byte %zu", what, m->at);
	return -EBADMSG; /* which the compiler sees: what a failure leaves untouched is not used */
}

static int too_long(struct machine *m)
{
	return err_set(m->err, -EBADMSG, "a pickle of more than %d instructions", PICKLE_MAX_STEPS);
}

/* --- nodes and stack --- */

static struct pickle_node *new_node(struct machine *m, enum pickle_kind kind)
{
	struct pickle *p = m->pickle;
	size_t chunk = p->n_nodes / CHUNK_NODES, i = p->n_nodes % CHUNK_NODES;
	if (i == 0) {
		p->chunks = xrealloc_array(p->chunks, chunk + 1, sizeof(*p->chunks));
		p->chunks[chunk] = xcalloc(CHUNK_NODES, sizeof(**p->chunks));
	}
	p->n_nodes++;
	p->chunks[chunk][i].kind = kind;
	return &p->chunks[chunk][i];
}

static void *grown(void *array, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return array;
	*room = MAX(2 * n, (size_t)16);
	return xrealloc_array(array, *room, size);
}

static int push(struct machine *m, struct pickle_node *node)
{
	m->stack = grown(m->stack, m->n_stack, &m->stack_room, sizeof(struct pickle_node *));
	m->stack[m->n_stack++] = node;
	return 0;
}

static int push_int(struct machine *m, int64_t v)
{
	struct pickle_node *node = new_node(m, PICKLE_INT);
	node->integer = v;
	return push(m, node);
}

/* NULL: nothing above the last mark. */
static struct pickle_node *top(const struct machine *m)
{
	size_t floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;
	return m->n_stack > floor ? m->stack[m->n_stack - 1] : NULL;
}

static struct pickle_node *pop(struct machine *m)
{
	struct pickle_node *node = top(m);
	if (node)
		m->n_stack--;
	return node;
}

static void add_item(struct pickle_node *list, struct pickle_node *item)
{
	list->list.items = grown(list->list.items, list->list.n, &list->list.room, sizeof(struct pickle_node *));
	list->list.items[list->list.n++] = item;
}

/* Takes the last mark away; ret_n items lie above it, still on the stack. */
static int unmark(struct machine *m, size_t *ret_n)
{
	if (!m->n_marks)
		return bad(m, "no mark");
	*ret_n = m->n_stack - m->marks[--m->n_marks];
	return 0;
}

/* --- bytes --- */

static const uint8_t *take(struct machine *m, size_t n)
{
	if (n > m->size - m->at) {
		bad(m, "cut off");
		return NULL;
	}
	m->at += n;
	return m->bytes + m->at - n;
}

/* Little-endian number of n bytes. */
static int take_uint(struct machine *m, size_t n, uint64_t *ret)
{
	const uint8_t *bytes = take(m, n);
	if (!bytes)
		return -EBADMSG;
	*ret = little_endian(bytes, n);
	return 0;
}

static int push_text(struct machine *m, enum pickle_kind kind, size_t n)
{
	const uint8_t *bytes = take(m, n);
	if (!bytes)
		return -EBADMSG;
	struct pickle_node *node = new_node(m, kind);
	node->text.bytes = (const char *)bytes;
	node->text.size = n;
	return push(m, node);
}

/* --- opcodes: values --- */

static int op_proto(struct machine *m, uint8_t code)
{
	uint64_t version;
	if (take_uint(m, 1, &version) < 0)
		return -EBADMSG;
	if (version == 2)
		return 0;
	return err_set(m->err, -EBADMSG, "pickle protocol %d\n  expected: protocol 2, which torch.save() writes",
		       (int)version);
}

static int op_none(struct machine *m, uint8_t code)
{
	return push(m, new_node(m, PICKLE_NONE));
}

static int op_bool(struct machine *m, uint8_t code)
{
	struct pickle_node *node = new_node(m, PICKLE_BOOL);
	node->integer = code == 0x88;
	return push(m, node);
}

/* K, M: 1 or 2 bytes, not negative; J: 4 bytes. */
static int op_int(struct machine *m, uint8_t code)
{
	uint64_t v;
	if (take_uint(m, code == 'K' ? 1 : code == 'M' ? 2 : 4, &v) < 0)
		return -EBADMSG;
	return push_int(m, code == 'J' ? (int32_t)(uint32_t)v : (int64_t)v);
}

static int op_long1(struct machine *m, uint8_t code)
{
	uint64_t n, v = 0;
	if (take_uint(m, 1, &n) < 0)
		return -EBADMSG;
	if (n > sizeof(v))
		return push_text(m, PICKLE_BIG, n);
	if (take_uint(m, n, &v) < 0)
		return -EBADMSG;
	unsigned unused = (unsigned)(64 - 8 * n); /* bits above the sign */
	return push_int(m, n ? (int64_t)(v << unused) >> unused : 0);
}

static int op_float(struct machine *m, uint8_t code)
{
	uint64_t bits;
	const uint8_t *bytes = take(m, sizeof(bits));
	if (!bytes)
		return -EBADMSG;
	memcpy(&bits, bytes, sizeof(bits));
	bits = be64toh(bits);
	struct pickle_node *node = new_node(m, PICKLE_FLOAT);
	memcpy(&node->real, &bits, sizeof(bits));
	return push(m, node);
}

/* U: a length of 1 byte; X: of 4. */
static int op_text(struct machine *m, uint8_t code)
{
	uint64_t n;
	return take_uint(m, code == 'U' ? 1 : 4, &n) < 0 ? -EBADMSG : push_text(m, PICKLE_STRING, n);
}

/* --- opcodes: containers --- */

static int op_mark(struct machine *m, uint8_t code)
{
	m->marks = grown(m->marks, m->n_marks, &m->marks_room, sizeof(*m->marks));
	m->marks[m->n_marks++] = m->n_stack;
	return 0;
}

static int push_tuple(struct machine *m, size_t n)
{
	size_t floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;
	if (m->n_stack - floor < n)
		return bad(m, "too few values for a tuple");
	struct pickle_node *tuple = new_node(m, PICKLE_TUPLE);
	for (size_t i = m->n_stack - n; i < m->n_stack; i++)
		add_item(tuple, m->stack[i]);
	m->n_stack -= n;
	return push(m, tuple);
}

static int op_tuple(struct machine *m, uint8_t code)
{
	size_t n;
	return unmark(m, &n) < 0 ? -EBADMSG : push_tuple(m, n);
}

static int op_empty_tuple(struct machine *m, uint8_t code)
{
	return push_tuple(m, 0);
}

/* TUPLE1, TUPLE2, TUPLE3 */
static int op_short_tuple(struct machine *m, uint8_t code)
{
	return push_tuple(m, code - 0x84);
}

static int op_empty(struct machine *m, uint8_t code)
{
	return push(m, new_node(m, code == ']' ? PICKLE_LIST : PICKLE_DICT));
}

/* Moves the n topmost values into the container below them. */
static int fill(struct machine *m, enum pickle_kind kind, size_t n)
{
	size_t floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;
	if (m->n_stack - floor < n + 1)
		return bad(m, "nothing to fill");
	struct pickle_node *into = m->stack[m->n_stack - n - 1];
	if (into->kind != kind || (kind == PICKLE_DICT && n % 2))
		return bad(m, "values for what is no list or dict");
	for (size_t i = m->n_stack - n; i < m->n_stack; i++)
		add_item(into, m->stack[i]);
	m->n_stack -= n;
	return 0;
}

/* a, s: one value or pair; e, u: all above the mark */
static int op_fill(struct machine *m, uint8_t code)
{
	size_t n = code == 'a' ? 1 : 2;
	if ((code == 'e' || code == 'u') && unmark(m, &n) < 0)
		return -EBADMSG;
	return fill(m, code == 'a' || code == 'e' ? PICKLE_LIST : PICKLE_DICT, n);
}

/* --- opcodes: memo, names, calls --- */

/* q: an index of 1 byte; r: of 4. */
static int op_put(struct machine *m, uint8_t code)
{
	uint64_t index;
	struct pickle_node *node = top(m);
	if (take_uint(m, code == 'q' ? 1 : 4, &index) < 0)
		return -EBADMSG;
	if (!node || index >= PICKLE_MAX_STEPS)
		return bad(m, "bad memo");
	if (index >= m->n_memo) {
		size_t room = MAX((size_t)index + 1, 2 * m->n_memo);
		m->memo = xrealloc_array(m->memo, room, sizeof(struct pickle_node *));
		memset(m->memo + m->n_memo, 0, (room - m->n_memo) * sizeof(struct pickle_node *));
		m->n_memo = room;
	}
	m->memo[index] = node;
	return 0;
}

/* h: an index of 1 byte; j: of 4. */
static int op_get(struct machine *m, uint8_t code)
{
	uint64_t index;
	if (take_uint(m, code == 'h' ? 1 : 4, &index) < 0)
		return -EBADMSG;
	if (index >= m->n_memo || !m->memo[index])
		return bad(m, "a memo that was not put");
	return push(m, m->memo[index]);
}

/* Two lines, as "module name" in buf of MAX_NAME + 1 bytes. */
static int take_name(struct machine *m, char *buf)
{
	size_t n = 0;
	for (int lines = 0; lines < 2; n++) {
		const uint8_t *c = take(m, 1);
		if (!c)
			return -EBADMSG;
		if (n == MAX_NAME)
			return bad(m, "a name too long");
		lines += *c == '\n';
		buf[n] = (char)(*c == '\n' ? ' ' : *c);
	}
	buf[n - 1] = '\0';
	return 0;
}

static int op_global(struct machine *m, uint8_t code)
{
	char name[MAX_NAME + 1], shown[MAX_NAME + 1];
	if (take_name(m, name) < 0)
		return -EBADMSG;
	for (const char *const *known = m->names; *known; known++) {
		if (!str_eq(*known, name))
			continue;
		struct pickle_node *node = new_node(m, PICKLE_GLOBAL);
		node->name = *known;
		return push(m, node);
	}
	return err_set(m->err, -EBADMSG,
		       "it holds a Python object of its own (%s), which nothing here may run\n"
		       "  expected: a state dict of tensors\n"
		       "  do this:  torch.save(model.state_dict(), FILE)",
		       printable_bytes(name, strlen(name), shown, sizeof(shown)));
}

/* OrderedDict() or, as Python 2 wrote it, OrderedDict([[key, value], ...]). */
static int push_ordered_dict(struct machine *m, const struct pickle_node *args)
{
	const struct pickle_node *pairs = pickle_item(args, 0, PICKLE_LIST);
	if (args->list.n > 1 || (args->list.n == 1 && !pairs))
		return bad(m, "an OrderedDict of something else than pairs");
	m->steps += pairs ? pairs->list.n : 0; /* the one instruction that makes more than one reference */
	if (m->steps > PICKLE_MAX_STEPS)
		return too_long(m);
	struct pickle_node *dict = new_node(m, PICKLE_DICT);
	for (size_t i = 0; pairs && i < pairs->list.n; i++) {
		const struct pickle_node *pair = pairs->list.items[i];
		if ((pair->kind != PICKLE_LIST && pair->kind != PICKLE_TUPLE) || pair->list.n != 2)
			return bad(m, "an OrderedDict of something else than pairs");
		add_item(dict, pair->list.items[0]);
		add_item(dict, pair->list.items[1]);
	}
	return push(m, dict);
}

/* REDUCE and NEWOBJ: fn(*args), or what becomes of it. */
static int op_call(struct machine *m, uint8_t code)
{
	const struct pickle_node *args = pop(m), *fn = args ? pop(m) : NULL;
	if (!fn || args->kind != PICKLE_TUPLE || fn->kind != PICKLE_GLOBAL)
		return bad(m, "a call of what is no function");
	if (str_eq(fn->name, "collections OrderedDict"))
		return push_ordered_dict(m, args);
	struct pickle_node *call = new_node(m, PICKLE_CALL);
	call->call.fn = fn->name;
	call->call.args = args;
	return push(m, call);
}

/* The attributes of an object: of a dict (_metadata) they are not needed. */
static int op_build(struct machine *m, uint8_t code)
{
	const struct pickle_node *state = pop(m);
	struct pickle_node *object = state ? top(m) : NULL;
	if (!object || (object->kind != PICKLE_CALL && object->kind != PICKLE_DICT))
		return bad(m, "attributes of what is no object");
	if (object->kind == PICKLE_CALL)
		object->call.state = state;
	return 0;
}

static int op_binpersid(struct machine *m, uint8_t code)
{
	const struct pickle_node *id = pop(m);
	if (!id)
		return bad(m, "no persistent id");
	struct pickle_node *node = new_node(m, PICKLE_PERSISTENT);
	node->call.args = id;
	return push(m, node);
}

#define STOP '.'

static int (*const ops[256])(struct machine *m, uint8_t code) = {
	[0x80] = op_proto,       ['N'] = op_none,        [0x88] = op_bool,        [0x89] = op_bool,
	['K'] = op_int,          ['M'] = op_int,         ['J'] = op_int,          [0x8a] = op_long1,
	['G'] = op_float,        ['U'] = op_text,        ['X'] = op_text,         ['('] = op_mark,
	['t'] = op_tuple,        [')'] = op_empty_tuple, [0x85] = op_short_tuple, [0x86] = op_short_tuple,
	[0x87] = op_short_tuple, [']'] = op_empty,       ['}'] = op_empty,        ['a'] = op_fill,
	['e'] = op_fill,         ['s'] = op_fill,        ['u'] = op_fill,         ['q'] = op_put,
	['r'] = op_put,          ['h'] = op_get,         ['j'] = op_get,          ['c'] = op_global,
	['R'] = op_call,         [0x81] = op_call,       ['b'] = op_build,        ['Q'] = op_binpersid,
};

static int run(struct machine *m)
{
	for (;;) {
		const uint8_t *code = take(m, 1);
		if (!code)
			return -EBADMSG;
		if (++m->steps > PICKLE_MAX_STEPS)
			return too_long(m);
		if (*code == STOP)
			break;
		if (!ops[*code])
			return err_set(m->err, -EBADMSG,
				       "pickle opcode 0x%02x at byte %zu, which torch.save() does not write", *code,
				       m->at - 1);
		int r = ops[*code](m, *code);
		if (r < 0)
			return r;
	}
	m->pickle->root = pop(m);
	return m->pickle->root && !m->n_stack && !m->n_marks ? 0 : bad(m, "not one value at its end");
}

int pickle_read(struct pickle **ret, const void *bytes, size_t size, const char *const *names, size_t *ret_used,
		struct err *err)
{
	struct pickle *p = xcalloc(1, sizeof(*p));
	struct machine m = {.pickle = p, .bytes = bytes, .size = size, .names = names, .err = err};
	int r = run(&m);
	free(m.stack);
	free(m.memo);
	free(m.marks);
	if (r < 0) {
		pickle_free(p);
		return r;
	}
	*ret_used = m.at;
	*ret = p;
	return 0;
}

/* --- use --- */

const struct pickle_node *pickle_root(const struct pickle *p)
{
	return p->root;
}

const struct pickle_node *pickle_node_at(const struct pickle *p, size_t i)
{
	return i < p->n_nodes ? &p->chunks[i / CHUNK_NODES][i % CHUNK_NODES] : NULL;
}

void pickle_free(struct pickle *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_nodes; i++) {
		struct pickle_node *node = &p->chunks[i / CHUNK_NODES][i % CHUNK_NODES];
		if (node->kind == PICKLE_TUPLE || node->kind == PICKLE_LIST || node->kind == PICKLE_DICT)
			free(node->list.items);
	}
	for (size_t i = 0; i * CHUNK_NODES < p->n_nodes; i++)
		free(p->chunks[i]);
	free(p->chunks);
	free(p);
}

const struct pickle_node *pickle_item(const struct pickle_node *node, size_t i, enum pickle_kind kind)
{
	if (!node || (node->kind != PICKLE_TUPLE && node->kind != PICKLE_LIST) || i >= node->list.n)
		return NULL;
	return node->list.items[i]->kind == kind ? node->list.items[i] : NULL;
}

bool pickle_is_text(const struct pickle_node *node, const char *text)
{
	return node && node->kind == PICKLE_STRING && node->text.size == strlen(text) &&
	       memcmp(node->text.bytes, text, node->text.size) == 0;
}

const struct pickle_node *pickle_get(const struct pickle_node *dict, const char *key)
{
	for (size_t i = 0; dict && dict->kind == PICKLE_DICT && i + 1 < dict->list.n; i += 2)
		if (pickle_is_text(dict->list.items[i], key))
			return dict->list.items[i + 1];
	return NULL;
}
