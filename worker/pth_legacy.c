/* The legacy form of pth.h: five pickles, then the storages, whose types only the pickle that uses them says. */
#include "pth_internal.h"

#include <endian.h>

struct key_storage {
	const struct pickle_node *key;
	struct pth_storage storage;
	bool used; /* its type and count are known */
};

struct legacy {
	const uint8_t *bytes;
	size_t size, at;
	struct key_storage *storages; /* in the file's order */
	struct key_storage **by_key;
	size_t n;
	struct err *err;
};

static int compare(const struct pickle_node *a, const struct pickle_node *b)
{
	int c = memcmp(a->text.bytes, b->text.bytes, MIN(a->text.size, b->text.size));
	return c ? c : (a->text.size > b->text.size) - (a->text.size < b->text.size);
}

static int by_key(const void *a, const void *b)
{
	const struct key_storage *const *x = a, *const *y = b;
	return compare((*x)->key, (*y)->key);
}

static struct key_storage *find(const struct legacy *l, const struct pickle_node *key)
{
	const struct key_storage wanted = {.key = key}, *at = &wanted;
	struct key_storage **found = bsearch(&at, l->by_key, l->n, sizeof(struct key_storage *), by_key);
	return found ? *found : NULL;
}

static int next_pickle(struct legacy *l, const char *what, struct pickle **ret)
{
	size_t used;
	int r = pickle_read(ret, l->bytes + l->at, l->size - l->at, pth_names, &used, l->err);
	if (r < 0)
		return err_prefix(l->err, r, "its pickle of %s", what);
	l->at += used;
	return 0;
}

/* The pickles before the object: the magic number was looked at by pth_form_of(), the others say how it was written. */
static int skip_head(struct legacy *l)
{
	struct pickle *p;
	static const char *const what[] = {"the magic number", "the protocol version", "the writer's sizes"};
	for (size_t i = 0; i < ARRAY_LEN(what); i++) {
		int r = next_pickle(l, what[i], &p);
		if (r < 0)
			return r;
		const struct pickle_node *root = pickle_root(p), *little = pickle_get(root, "little_endian");
		if (i == 1 && (root->kind != PICKLE_INT || root->integer != 1001))
			r = err_set(l->err, -EBADMSG, "another protocol version than 1001");
		if (i == 2 && (!little || little->kind != PICKLE_BOOL || !little->integer))
			r = err_set(l->err, -EBADMSG, "not little-endian");
		pickle_free(p);
		if (r < 0)
			return r;
	}
	return 0;
}

static int list_keys(struct legacy *l, const struct pickle_node *keys)
{
	if (keys->kind != PICKLE_LIST)
		return err_set(l->err, -EBADMSG, "no list of storages");
	l->storages = xcalloc(keys->list.n + 1, sizeof(*l->storages));
	l->by_key = xcalloc(keys->list.n + 1, sizeof(struct key_storage *));
	for (size_t i = 0; i < keys->list.n; i++) {
		l->storages[i].key = pickle_item(keys, i, PICKLE_STRING);
		if (!l->storages[i].key)
			return err_set(l->err, -EBADMSG, "a storage whose key is no text");
		l->by_key[l->n++] = &l->storages[i];
	}
	qsort(l->by_key, l->n, sizeof(struct key_storage *), by_key);
	for (size_t i = 1; i < l->n; i++)
		if (by_key(&l->by_key[i - 1], &l->by_key[i]) == 0)
			return err_set(l->err, -EBADMSG, "a storage that is listed twice");
	return 0;
}

/* Type and count of every storage that the object uses anywhere, not only in its state dict. */
static int learn_types(struct legacy *l, const struct pickle *object)
{
	const struct pickle_node *node, *key;
	for (size_t i = 0; (node = pickle_node_at(object, i)); i++) {
		struct pth_storage s;
		if (node->kind != PICKLE_PERSISTENT)
			continue;
		if (pth_storage_id(node->call.args, &s, &key, l->err) < 0)
			return -EBADMSG;
		struct key_storage *known = find(l, key);
		if (!known)
			return err_set(l->err, -EBADMSG, "a tensor of a storage that is not in its list");
		if (known->used && (known->storage.dtype != s.dtype || known->storage.count != s.count))
			return err_set(l->err, -EBADMSG, "a storage of two types or sizes");
		known->storage = s;
		known->used = true;
	}
	return 0;
}

static int find_storages(struct legacy *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct key_storage *k = &l->storages[i];
		int64_t count;
		size_t bytes;
		if (!k->used)
			return err_set(l->err, -EBADMSG, "storage %zu of its list is no tensor's", i);
		if (l->size - l->at < sizeof(count))
			return err_set(l->err, -EBADMSG, "cut off before storage %zu of %zu", i, l->n);
		memcpy(&count, l->bytes + l->at, sizeof(count));
		l->at += sizeof(count);
		if ((int64_t)le64toh((uint64_t)count) != k->storage.count)
			return err_set(l->err, -EBADMSG, "storage %zu has another size than its tensors say", i);
		if (pth_storage_bytes(k->storage.dtype, k->storage.count, &bytes, l->err) < 0)
			return -EBADMSG;
		if (bytes > l->size - l->at)
			return err_set(l->err, -EBADMSG, "cut off in storage %zu of %zu", i, l->n);
		k->storage.data = l->bytes + l->at;
		l->at += bytes;
	}
	return l->at == l->size ? 0 : err_set(l->err, -EBADMSG, "bytes behind its last storage");
}

static int legacy_storage(void *form, const struct pickle_node *persistent, struct pth_storage *ret, struct err *err)
{
	const struct pickle_node *key;
	int r = pth_storage_id(persistent->call.args, ret, &key, err);
	if (r == 0)
		*ret = find(form, key)->storage;
	return r;
}

static int legacy_tensor(void *form, const struct pickle_node *value, struct weight *ret, struct err *err)
{
	return pth_rebuild(value, legacy_storage, form, ret, err);
}

static int read_object(struct legacy *l, const struct pickle *object, const struct pickle *keys, struct pth_list *into)
{
	int r = list_keys(l, pickle_root(keys));
	r = r ? r : learn_types(l, object);
	r = r ? r : find_storages(l);
	return r ? r : pth_state_dict(pickle_root(object), legacy_tensor, l, into, l->err);
}

int pth_read_legacy(const uint8_t *bytes, size_t size, struct pth_list *into, struct err *err)
{
	struct legacy l = {.bytes = bytes, .size = size, .err = err};
	struct pickle *object = NULL, *keys = NULL;
	int r = skip_head(&l);
	r = r ? r : next_pickle(&l, "the object", &object);
	r = r ? r : next_pickle(&l, "the storages", &keys);
	r = r ? r : read_object(&l, object, keys, into);
	free(l.storages);
	free(l.by_key);
	pickle_free(object);
	pickle_free(keys);
	return r;
}
