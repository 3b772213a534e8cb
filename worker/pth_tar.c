/* The tar form of pth.h, of torch 0.1 (torchvision's resnet18-5c106cde.pth and resnet50-19c8e357.pth).
 *
 *   storages  pickle(n), n times {pickle((key, place, type)), int64 count, elements}, pickle(views of storages)
 *   tensors   pickle(n), n times {pickle((key, key of its storage, type)), int32 ndim, int32 unused, int64 sizes[ndim],
 *             int64 strides[ndim], int64 offset}
 *   pickle    the dict; a tensor is the persistent id of its key, alone or as the data of a Parameter
 *
 * Keys are whole numbers; in the dict they stand as text. */
#include "pth_internal.h"

#include <endian.h>
#include <inttypes.h>

#define BLOCK 512

enum member { MEMBER_STORAGES, MEMBER_TENSORS, MEMBER_PICKLE, N_MEMBERS };
static const char *const member_names[] = {"storages", "tensors", "pickle"};

struct bytes {
	const uint8_t *at;
	size_t left;
};

struct keyed {
	int64_t key;
	struct pth_storage storage; /* of a storage */
	struct weight weight;       /* of a tensor */
};

struct table {
	struct keyed *items;
	size_t n, room;
};

struct tar {
	struct bytes members[N_MEMBERS];
	const char *member; /* being read, for messages */
	struct table storages, tensors;
	struct err *err;
};

static int bad(struct tar *t, const char *what)
{
	err_set(t->err, -EBADMSG, "damaged tar archive: member %s: %s", t->member, what);
	return -EBADMSG; /* which the compiler sees: what a failure leaves untouched is not used */
}

/* --- the archive --- */

/* An octal number that ends with a space or NUL. */
static int take_octal(const uint8_t *field, size_t n, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;
	for (; i < n && field[i] >= '0' && field[i] <= '7'; i++)
		v = v * 8 + (uint64_t)(field[i] - '0'); /* at most 12 digits */
	if (i == 0 || (i < n && field[i] != ' ' && field[i] != '\0'))
		return -EBADMSG;
	*ret = v;
	return 0;
}

static bool has_checksum(const uint8_t *header)
{
	uint64_t sum = 0, said;
	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : header[i];
	return take_octal(header + 148, 8, &said) == 0 && said == sum;
}

static int member_of(const uint8_t *header)
{
	for (int i = 0; i < N_MEMBERS; i++)
		if (str_eq((const char *)header, member_names[i]))
			return i;
	return -1;
}

/* Regular members by name, up to a block of zeros; headers of other kinds (PAX) and other members are passed over. */
static int find_members(struct tar *t, const uint8_t *bytes, size_t size)
{
	static const uint8_t zeros[BLOCK];
	t->member = "headers";
	for (size_t at = 0;;) {
		const uint8_t *header = bytes + at;
		uint64_t length;
		if (size - at < BLOCK)
			return bad(t, "cut off");
		if (memcmp(header, zeros, BLOCK) == 0)
			break;
		if (memcmp(header + 257, "ustar", 5) != 0 || !has_checksum(header) || header[99])
			return bad(t, "no header where one should be");
		at += BLOCK;
		if (take_octal(header + 124, 12, &length) < 0 || length > size - at)
			return bad(t, "a member reaches beyond the archive");
		int m = header[156] == '0' || header[156] == '\0' ? member_of(header) : -1;
		if (m >= 0 && t->members[m].at)
			return bad(t, "a member is there twice");
		if (m >= 0)
			t->members[m] = (struct bytes){bytes + at, (size_t)length};
		at += MIN((length + BLOCK - 1) / BLOCK * BLOCK, size - at);
	}
	for (int m = 0; m < N_MEMBERS; m++)
		if (!t->members[m].at)
			return err_set(t->err, -EBADMSG,
				       "a tar archive without a member %s\n  expected: a file written by torch.save()",
				       member_names[m]);
	return 0;
}

/* --- pieces of a member --- */

static int take_pickle(struct tar *t, struct bytes *b, struct pickle **ret)
{
	size_t used;
	int r = pickle_read(ret, b->at, b->left, pth_names, &used, t->err);
	if (r < 0)
		return err_prefix(t->err, r, "member %s", t->member);
	b->at += used;
	b->left -= used;
	return 0;
}

static int take_bytes(struct tar *t, struct bytes *b, size_t n, const uint8_t **ret)
{
	if (n > b->left)
		return bad(t, "cut off");
	*ret = b->at;
	b->at += n;
	b->left -= n;
	return 0;
}

static int take_int64(struct tar *t, struct bytes *b, int64_t *ret)
{
	uint64_t v;
	const uint8_t *at;
	if (take_bytes(t, b, sizeof(v), &at) < 0)
		return -EBADMSG;
	memcpy(&v, at, sizeof(v));
	*ret = (int64_t)le64toh(v);
	return 0;
}

/* The pickled number that a member begins with.  Every piece takes some bytes: it cannot be more than there are. */
static int take_count(struct tar *t, struct bytes *b, int64_t *ret)
{
	struct pickle *p;
	if (take_pickle(t, b, &p) < 0)
		return -EBADMSG;
	const struct pickle_node *n = pickle_root(p);
	bool ok = n->kind == PICKLE_INT && n->integer >= 0 && (uint64_t)n->integer <= b->left;
	*ret = ok ? n->integer : 0;
	pickle_free(p);
	return ok ? 0 : bad(t, "an impossible number of pieces");
}

static int by_key(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	return (x->key > y->key) - (x->key < y->key);
}

static const struct keyed *find(const struct table *table, int64_t key)
{
	const struct keyed wanted = {.key = key};
	return table->n ? bsearch(&wanted, table->items, table->n, sizeof(*table->items), by_key) : NULL;
}

static int sort_table(struct tar *t, struct table *table)
{
	if (table->n)
		qsort(table->items, table->n, sizeof(*table->items), by_key);
	for (size_t i = 1; i < table->n; i++)
		if (table->items[i - 1].key == table->items[i].key)
			return bad(t, "a key is there twice");
	return 0;
}

static struct keyed *add(struct table *table)
{
	if (table->n == table->room) {
		table->room = MAX(2 * table->n, (size_t)64);
		table->items = xrealloc_array(table->items, table->room, sizeof(*table->items));
	}
	memset(&table->items[table->n], 0, sizeof(*table->items));
	return &table->items[table->n++];
}

/* (key, second, type): the head of each piece. */
static int take_head(struct tar *t, struct bytes *b, const char *suffix, int64_t *ret_key, int64_t *ret_second,
		     enum st_dtype *ret_dtype)
{
	struct pickle *p;
	if (take_pickle(t, b, &p) < 0)
		return -EBADMSG;
	const struct pickle_node *key = pickle_item(pickle_root(p), 0, PICKLE_INT);
	const struct pickle_node *second = pickle_item(pickle_root(p), 1, PICKLE_INT);
	const struct pickle_node *type = pickle_item(pickle_root(p), 2, PICKLE_GLOBAL);
	bool ok = key && (second || !ret_second) && pth_dtype(type, suffix, ret_dtype) == 0;
	*ret_key = ok ? key->integer : 0;
	if (ok && ret_second)
		*ret_second = second->integer;
	pickle_free(p);
	return ok ? 0 : bad(t, "a piece begins with something else than its key and type");
}

/* --- members --- */

static int take_storage(struct tar *t, struct bytes *b, struct keyed *into)
{
	size_t bytes;
	struct pth_storage *s = &into->storage;
	if (take_head(t, b, "Storage", &into->key, NULL, &s->dtype) < 0 || take_int64(t, b, &s->count) < 0 ||
	    pth_storage_bytes(s->dtype, s->count, &bytes, t->err) < 0)
		return -EBADMSG;
	return take_bytes(t, b, bytes, &s->data);
}

/* (key, key of the root, offset, count): a storage that is a part of another. */
static int add_view(struct tar *t, const struct pickle_node *view, size_t n_roots)
{
	int64_t v[4], end;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		const struct pickle_node *n = pickle_item(view, i, PICKLE_INT);
		if (!n)
			return bad(t, "a view of another form");
		v[i] = n->integer;
	}
	const struct table roots = {.items = t->storages.items, .n = n_roots};
	const struct keyed *root = find(&roots, v[1]);
	if (!root || v[2] < 0 || v[3] < 0 || __builtin_add_overflow(v[2], v[3], &end) || end > root->storage.count)
		return bad(t, "a view beyond its storage");
	struct pth_storage part = root->storage;
	part.count = v[3];
	part.data += (size_t)v[2] * ((size_t)st_dtype_bits(part.dtype) / 8);
	struct keyed *k = add(&t->storages);
	k->key = v[0];
	k->storage = part;
	return 0;
}

static int take_views(struct tar *t, struct bytes *b)
{
	struct pickle *p;
	if (take_pickle(t, b, &p) < 0)
		return -EBADMSG;
	const struct pickle_node *views = pickle_root(p);
	size_t n_roots = t->storages.n;
	int r = views->kind == PICKLE_LIST ? 0 : bad(t, "no list of views");
	for (size_t i = 0; r == 0 && i < views->list.n; i++)
		r = add_view(t, views->list.items[i], n_roots);
	pickle_free(p);
	return r;
}

static int read_storages(struct tar *t)
{
	int64_t n;
	struct bytes b = t->members[MEMBER_STORAGES];
	t->member = member_names[MEMBER_STORAGES];
	if (take_count(t, &b, &n) < 0)
		return -EBADMSG;
	for (int64_t i = 0; i < n; i++)
		if (take_storage(t, &b, add(&t->storages)) < 0)
			return -EBADMSG;
	if (sort_table(t, &t->storages) < 0 || take_views(t, &b) < 0)
		return -EBADMSG;
	return b.left ? bad(t, "bytes behind its end") : sort_table(t, &t->storages);
}

static int take_tensor(struct tar *t, struct bytes *b, struct keyed *into)
{
	uint32_t ndim;
	int64_t storage_key, offset;
	const uint8_t *at;
	struct weight *w = &into->weight;
	if (take_head(t, b, "Tensor", &into->key, &storage_key, &w->dtype) < 0 || take_bytes(t, b, 8, &at) < 0)
		return -EBADMSG;
	memcpy(&ndim, at, sizeof(ndim));
	ndim = le32toh(ndim);
	if (ndim > ST_MAX_DIMS)
		return bad(t, "a tensor of too many dimensions");
	w->ndim = (int)ndim;
	for (uint32_t d = 0; d < ndim; d++)
		if (take_int64(t, b, &w->shape[d]) < 0)
			return -EBADMSG;
	for (uint32_t d = 0; d < ndim; d++)
		if (take_int64(t, b, &w->stride[d]) < 0)
			return -EBADMSG;
	if (take_int64(t, b, &offset) < 0)
		return -EBADMSG;
	const struct keyed *storage = find(&t->storages, storage_key);
	if (!storage || storage->storage.dtype != w->dtype)
		return bad(t, "a tensor whose storage is not there, or of another type");
	return pth_place(w, &storage->storage, offset, t->err);
}

static int read_tensors(struct tar *t)
{
	int64_t n;
	struct bytes b = t->members[MEMBER_TENSORS];
	t->member = member_names[MEMBER_TENSORS];
	if (take_count(t, &b, &n) < 0)
		return -EBADMSG;
	for (int64_t i = 0; i < n; i++)
		if (take_tensor(t, &b, add(&t->tensors)) < 0)
			return -EBADMSG;
	return b.left ? bad(t, "bytes behind its end") : sort_table(t, &t->tensors);
}

/* "94117538124528", or the number itself. */
static int take_key(const struct pickle_node *id, int64_t *ret)
{
	char text[24], *end;
	if (id->kind == PICKLE_INT) {
		*ret = id->integer;
		return 0;
	}
	if (id->kind != PICKLE_STRING || id->text.size == 0 || id->text.size >= sizeof(text))
		return -EBADMSG;
	memcpy(text, id->text.bytes, id->text.size);
	text[id->text.size] = '\0';
	errno = 0;
	*ret = strtoll(text, &end, 10);
	return errno || *end ? -EBADMSG : 0;
}

/* A buffer is the persistent id itself; a Parameter has it as the first of its attributes. */
static int tar_tensor(void *form, const struct pickle_node *value, struct weight *ret, struct err *err)
{
	int64_t key;
	char name[ST_MAX_NAME];
	struct tar *t = form;
	if (value->kind == PICKLE_CALL && str_eq(value->call.fn, "torch.nn.parameter Parameter"))
		value = pickle_item(value->call.state, 0, PICKLE_PERSISTENT);
	if (!value || value->kind != PICKLE_PERSISTENT || take_key(value->call.args, &key) < 0)
		return err_set(err, -EBADMSG, "is no tensor");
	const struct keyed *tensor = find(&t->tensors, key);
	if (!tensor)
		return err_set(err, -EBADMSG, "member tensors has none of its key %" PRId64, key);
	memcpy(name, ret->name, sizeof(name));
	*ret = tensor->weight;
	memcpy(ret->name, name, sizeof(name));
	return 0;
}

static int read_pickle(struct tar *t, struct pth_list *into)
{
	struct pickle *p;
	struct bytes b = t->members[MEMBER_PICKLE];
	t->member = member_names[MEMBER_PICKLE];
	if (take_pickle(t, &b, &p) < 0)
		return -EBADMSG;
	int r = b.left ? bad(t, "bytes behind its end") : pth_state_dict(pickle_root(p), tar_tensor, t, into, t->err);
	pickle_free(p);
	return r;
}

int pth_read_tar(const uint8_t *bytes, size_t size, struct pth_list *into, struct err *err)
{
	struct tar t = {.err = err};
	int r = find_members(&t, bytes, size);
	r = r ? r : read_storages(&t);
	r = r ? r : read_tensors(&t);
	r = r ? r : read_pickle(&t, into);
	free(t.storages.items);
	free(t.tensors.items);
	return r;
}
