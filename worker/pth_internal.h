/* What the three forms of pth.h share. */
#pragma once

#include "pickle.h"
#include "pth.h"

/* What a file may name: the functions that rebuild tensors, and torch's types. */
extern const char *const pth_names[];

struct pth_storage {
	enum st_dtype dtype;
	int64_t count; /* elements */
	const uint8_t *data;
};

/* The type behind "torch FloatStorage" or "torch.cuda HalfTensor"; suffix: "Storage" or "Tensor". */
int pth_dtype(const struct pickle_node *global, const char *suffix, enum st_dtype *ret);
/* Tensors of a growing list. */
struct pth_list {
	struct weight *items;
	size_t n, room;
};

/* Fills everything but the name of a tensor from its node in the dict; -EBADMSG with a sentence without its name. */
typedef int (*pth_tensor_fn)(void *form, const struct pickle_node *value, struct weight *ret, struct err *err);
/* Every entry of the state dict at root, or below its "state_dict" or "model". */
int pth_state_dict(const struct pickle_node *root, pth_tensor_fn tensor, void *form, struct pth_list *into,
		   struct err *err);

/* Finds the storage of a persistent id; as pth_tensor_fn. */
typedef int (*pth_storage_fn)(void *form, const struct pickle_node *id, struct pth_storage *ret, struct err *err);
/* A tensor as _rebuild_tensor_v2() and _rebuild_parameter() make it. */
int pth_rebuild(const struct pickle_node *value, pth_storage_fn storage, void *form, struct weight *ret,
		struct err *err);
/* ("storage", type, key, place, count[, view]) of zip and legacy; key: borrowed. */
int pth_storage_id(const struct pickle_node *id, struct pth_storage *ret, const struct pickle_node **ret_key,
		   struct err *err);

/* Sets data and count: the view with w's shape and strides at that offset, if it lies inside the storage. */
int pth_place(struct weight *w, const struct pth_storage *storage, int64_t offset, struct err *err);
/* Elements and bytes of a storage without overflow; -EBADMSG where count is negative or too large. */
int pth_storage_bytes(enum st_dtype dtype, int64_t count, size_t *ret, struct err *err);

int pth_read_legacy(const uint8_t *bytes, size_t size, struct pth_list *into, struct err *err);
int pth_read_tar(const uint8_t *bytes, size_t size, struct pth_list *into, struct err *err);
