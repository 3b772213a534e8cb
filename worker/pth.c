/* See pth.h.  The walk of a state dict, which the forms share, and the zip form. */
#include "bytes.h"
#include "pth_internal.h"
#include "zip.h"

#include "common/utf8.h"

/* torch's name of a type, its dtype. */
#define TYPES(X)                                                                                                       \
	X(Float, ST_F32)                                                                                               \
	X(Double, ST_F64) X(Half, ST_F16) X(BFloat16, ST_BF16) X(Long, ST_I64) X(Int, ST_I32) X(Short, ST_I16)         \
		X(Char, ST_I8) X(Byte, ST_U8) X(Bool, ST_BOOL)

#define REBUILD_V2 "torch._utils _rebuild_tensor_v2"
#define REBUILD    "torch._utils _rebuild_tensor" /* before torch 0.4 */
#define PARAMETER  "torch._utils _rebuild_parameter"

const char *const pth_names[] = {
	"collections OrderedDict",
	REBUILD_V2,
	REBUILD,
	PARAMETER,
	"torch.nn.parameter Parameter",
#define X(name, dtype)                                                                                                 \
	"torch " #name "Storage", "torch.cuda " #name "Storage", "torch " #name "Tensor", "torch.cuda " #name "Tensor",
	TYPES(X)
#undef X
	NULL,
};

static const struct {
	const char *name;
	enum st_dtype dtype;
} types[] = {
#define X(name, dtype) {#name, dtype},
	TYPES(X)
#undef X
};

int pth_dtype(const struct pickle_node *global, const char *suffix, enum st_dtype *ret)
{
	const char *type = global && global->kind == PICKLE_GLOBAL ? strchr(global->name, ' ') : NULL;
	for (size_t i = 0; type && i < ARRAY_LEN(types); i++) {
		size_t n = strlen(types[i].name);
		if (strncmp(type + 1, types[i].name, n) != 0 || !str_eq(type + 1 + n, suffix))
			continue;
		*ret = types[i].dtype;
		return 0;
	}
	return -EBADMSG;
}

/* --- storages and views --- */

int pth_storage_bytes(enum st_dtype dtype, int64_t count, size_t *ret, struct err *err)
{
	if (count < 0 || __builtin_mul_overflow((size_t)count, (size_t)st_dtype_bits(dtype) / 8, ret))
		return err_set(err, -EBADMSG, "a storage of %lld elements", (long long)count);
	return 0;
}

int pth_storage_id(const struct pickle_node *id, struct pth_storage *ret, const struct pickle_node **ret_key,
		   struct err *err)
{
	const struct pickle_node *count = pickle_item(id, 4, PICKLE_INT), *key = pickle_item(id, 2, PICKLE_STRING);
	bool whole =
		id->kind == PICKLE_TUPLE && (id->list.n == 5 || (id->list.n == 6 && pickle_item(id, 5, PICKLE_NONE)));
	if (!whole || !count || !key || !pickle_is_text(pickle_item(id, 0, PICKLE_STRING), "storage") ||
	    pth_dtype(pickle_item(id, 1, PICKLE_GLOBAL), "Storage", &ret->dtype) < 0)
		return err_set(err, -EBADMSG,
			       "a persistent id of another form\n  expected: (\"storage\", torch.FloatStorage, key, "
			       "place, count)");
	ret->count = count->integer;
	ret->data = NULL;
	*ret_key = key;
	return 0;
}

/* Elements of the shape, and the place of the last one behind offset; -EBADMSG where a number overflows. */
static int measure(const struct weight *w, int64_t offset, int64_t *ret_count, int64_t *ret_last)
{
	int64_t count = 1, last = offset, reach;
	for (int d = 0; d < w->ndim; d++) {
		if (w->shape[d] < 0 || w->stride[d] < 0 || __builtin_mul_overflow(count, w->shape[d], &count))
			return -EBADMSG;
		if (w->shape[d] > 0 && (__builtin_mul_overflow(w->shape[d] - 1, w->stride[d], &reach) ||
					__builtin_add_overflow(last, reach, &last)))
			return -EBADMSG;
	}
	*ret_count = count;
	*ret_last = last;
	return 0;
}

int pth_place(struct weight *w, const struct pth_storage *storage, int64_t offset, struct err *err)
{
	int64_t count, last;
	if (offset < 0 || offset > storage->count || measure(w, offset, &count, &last) < 0 ||
	    (count > 0 && last >= storage->count))
		return err_set(err, -EBADMSG,
			       "its shape, strides and offset %lld reach beyond its storage of %lld elements",
			       (long long)offset, (long long)storage->count);
	w->dtype = storage->dtype;
	w->count = count;
	w->data = storage->data + (size_t)offset * ((size_t)st_dtype_bits(storage->dtype) / 8);
	return 0;
}

/* --- tensors as torch._utils rebuilds them --- */

/* Shape and strides, two tuples of ints. */
static int take_shape(const struct pickle_node *shape, const struct pickle_node *stride, struct weight *w)
{
	if (!shape || !stride || shape->list.n != stride->list.n || shape->list.n > ST_MAX_DIMS)
		return -EBADMSG;
	w->ndim = (int)shape->list.n;
	for (size_t d = 0; d < shape->list.n; d++) {
		const struct pickle_node *n = pickle_item(shape, d, PICKLE_INT),
					 *s = pickle_item(stride, d, PICKLE_INT);
		if (!n || !s)
			return -EBADMSG;
		w->shape[d] = n->integer;
		w->stride[d] = s->integer;
	}
	return 0;
}

int pth_rebuild(const struct pickle_node *value, pth_storage_fn storage, void *form, struct weight *ret,
		struct err *err)
{
	struct pth_storage s;
	if (value->kind == PICKLE_CALL && str_eq(value->call.fn, PARAMETER))
		value = pickle_item(value->call.args, 0, PICKLE_CALL);
	if (!value || value->kind != PICKLE_CALL ||
	    (!str_eq(value->call.fn, REBUILD_V2) && !str_eq(value->call.fn, REBUILD)))
		return err_set(err, -EBADMSG, "is no tensor");
	const struct pickle_node *args = value->call.args, *id = pickle_item(args, 0, PICKLE_PERSISTENT);
	const struct pickle_node *offset = pickle_item(args, 1, PICKLE_INT);
	if (!id || !offset ||
	    take_shape(pickle_item(args, 2, PICKLE_TUPLE), pickle_item(args, 3, PICKLE_TUPLE), ret) < 0)
		return err_set(err, -EBADMSG,
			       "is a tensor of another form\n  expected: %s(storage, offset, shape, strides, ...)",
			       value->call.fn);
	int r = storage(form, id, &s, err);
	return r < 0 ? r : pth_place(ret, &s, offset->integer, err);
}

/* --- the dict --- */

/* Fit to be printed and compared. */
static bool is_name(const struct pickle_node *key)
{
	return key->kind == PICKLE_STRING && key->text.size > 0 && key->text.size < ST_MAX_NAME &&
	       utf8_is_harmless(key->text.bytes, key->text.size);
}

static const struct pickle_node *find_state_dict(const struct pickle_node *root)
{
	static const char *const nested[] = {"state_dict", "model"};
	for (size_t i = 0; i < ARRAY_LEN(nested); i++) {
		const struct pickle_node *inner = pickle_get(root, nested[i]);
		if (inner && inner->kind == PICKLE_DICT)
			return inner;
	}
	return root->kind == PICKLE_DICT ? root : NULL;
}

static struct weight *add_weight(struct pth_list *list)
{
	if (list->n == list->room) {
		list->room = MAX(2 * list->n, (size_t)64);
		list->items = xrealloc_array(list->items, list->room, sizeof(*list->items));
	}
	memset(&list->items[list->n], 0, sizeof(*list->items));
	return &list->items[list->n++];
}

int pth_state_dict(const struct pickle_node *root, pth_tensor_fn tensor, void *form, struct pth_list *into,
		   struct err *err)
{
	const struct pickle_node *dict = find_state_dict(root);
	if (!dict)
		return err_set(err, -EBADMSG,
			       "it holds no dict\n  expected: a state dict, or a dict with one as \"state_dict\" "
			       "or \"model\"\n  do this:  torch.save(model.state_dict(), FILE)");
	for (size_t i = 0; i + 1 < dict->list.n; i += 2) {
		const struct pickle_node *key = dict->list.items[i];
		if (!is_name(key))
			return err_set(err, -EBADMSG,
				       "key %zu of its state dict is no name\n  expected: text of 1 to %d bytes", i / 2,
				       ST_MAX_NAME - 1);
		struct weight *w = add_weight(into);
		memcpy(w->name, key->text.bytes, key->text.size);
		int r = tensor(form, dict->list.items[i + 1], w, err);
		if (r < 0)
			return err_prefix(err, r, "%s", w->name);
	}
	return 0;
}

/* --- zip --- */

struct zip_form {
	const struct zip *zip;
	const char *root; /* "archive/", not terminated */
	size_t root_size;
};

static const struct zip_entry *find_entry(const struct zip_form *z, const char *directory, const char *name,
					  size_t name_size)
{
	autofree char *path = xasprintf("%.*s%s%.*s", (int)z->root_size, z->root, directory, (int)name_size, name);
	return zip_find(z->zip, path);
}

static int zip_storage(void *form, const struct pickle_node *persistent, struct pth_storage *ret, struct err *err)
{
	char shown[64];
	size_t bytes;
	const struct pickle_node *key;
	int r = pth_storage_id(persistent->call.args, ret, &key, err);
	if (r < 0)
		return r;
	printable_bytes(key->text.bytes, key->text.size, shown, sizeof(shown));
	const struct zip_entry *e =
		key->text.size < sizeof(shown) ? find_entry(form, "data/", shown, strlen(shown)) : NULL;
	if (!e)
		return err_set(err, -EBADMSG, "there is no entry data/%s", shown);
	r = pth_storage_bytes(ret->dtype, ret->count, &bytes, err);
	if (r == 0 && bytes != e->size)
		r = err_set(err, -EBADMSG, "entry data/%s has %zu bytes; expected: %zu, %lld elements of %s", shown,
			    e->size, bytes, (long long)ret->count, st_dtype_name(ret->dtype));
	if (r < 0)
		return r;
	ret->data = e->data;
	return 0;
}

static int zip_tensor(void *form, const struct pickle_node *value, struct weight *ret, struct err *err)
{
	return pth_rebuild(value, zip_storage, form, ret, err);
}

/* The one entry ROOT/data.pkl. */
static const struct zip_entry *find_pickle(struct zip_form *z)
{
	static const char tail[] = "/data.pkl";
	const size_t n = sizeof(tail) - 1;
	const struct zip_entry *found = NULL;
	for (size_t i = 0; i < zip_count(z->zip); i++) {
		const struct zip_entry *e = zip_at(z->zip, i);
		if (e->name_size <= n || memcmp(e->name + e->name_size - n, tail, n) != 0 ||
		    memchr(e->name, '/', e->name_size - n))
			continue;
		if (found)
			return NULL;
		found = e;
		z->root = e->name;
		z->root_size = e->name_size - n + 1;
	}
	return found;
}

static int read_entries(struct zip_form *z, struct pth_list *into, struct err *err)
{
	struct pickle *pickle;
	size_t used;
	const struct zip_entry *e = find_pickle(z);
	if (!e)
		return err_set(err, -EBADMSG,
			       "a zip archive without one data.pkl\n  expected: a file written by torch.save()");
	const struct zip_entry *order = find_entry(z, "", "byteorder", strlen("byteorder"));
	if (order && (order->size != strlen("little") || memcmp(order->data, "little", order->size) != 0))
		return err_set(err, -EBADMSG, "entry byteorder: not little-endian");
	int r = pickle_read(&pickle, e->data, e->size, pth_names, &used, err);
	if (r < 0)
		return err_prefix(err, r, "entry data.pkl");
	r = used == e->size ? pth_state_dict(pickle_root(pickle), zip_tensor, z, into, err)
			    : err_set(err, -EBADMSG, "entry data.pkl: bytes behind its end");
	pickle_free(pickle);
	return r;
}

static int read_zip(const uint8_t *bytes, size_t size, struct pth_list *into, struct err *err)
{
	struct zip *zip;
	int r = zip_open(&zip, bytes, size, err);
	if (r < 0)
		return r;
	r = read_entries(&(struct zip_form){.zip = zip}, into, err);
	zip_close(zip);
	return r;
}

/* --- all forms --- */

enum pth_form pth_form_of(const uint8_t *bytes, size_t size)
{
	static const uint8_t legacy[] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46,
					 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};
	if (size >= 4 && memcmp(bytes, "PK\3\4", 4) == 0)
		return PTH_ZIP;
	if (size >= sizeof(legacy) && memcmp(bytes, legacy, sizeof(legacy)) == 0)
		return PTH_LEGACY;
	return size >= 512 && memcmp(bytes + 257, "ustar", 5) == 0 ? PTH_TAR : PTH_NONE;
}

int pth_read(enum pth_form form, const uint8_t *bytes, size_t size, struct weight **ret, size_t *ret_n, struct err *err)
{
	struct pth_list list = {0};
	int r = err_set(err, -EBADMSG, "not a file of torch.save()");
	switch (form) {
	case PTH_ZIP:
		r = read_zip(bytes, size, &list, err);
		break;
	case PTH_LEGACY:
		r = pth_read_legacy(bytes, size, &list, err);
		break;
	case PTH_TAR:
		r = pth_read_tar(bytes, size, &list, err);
		break;
	case PTH_NONE:
		break;
	}
	if (r < 0) {
		free(list.items);
		return r;
	}
	*ret = list.items;
	*ret_n = list.n;
	return 0;
}
