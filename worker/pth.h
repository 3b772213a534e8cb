/* The three forms in which torch.save() has written state dicts; see weights.h.
 *
 *   zip     torch >= 1.6: a zip archive of stored entries: ROOT/data.pkl, the pickle, and ROOT/data/KEY, one storage each
 *   legacy  before: five pickles (a magic number, 1001, the writer's sizes, the object, the keys of its storages), then
 *           for each key an int64 count and the elements
 *   tar     torch 0.1: a tar archive of `storages`, `tensors`, `pickle` (torch/serialization.py, legacy_load())
 *
 * The object is a dict of tensors, or a dict that holds one as "state_dict" or "model".  Tensors are views of storages:
 * they may share one, and be strided. */
#pragma once

#include "weights.h"

enum pth_form { PTH_NONE, PTH_ZIP, PTH_LEGACY, PTH_TAR };

/* By the first bytes. */
enum pth_form pth_form_of(const uint8_t *bytes, size_t size);
/* The tensors, whose data is borrowed from bytes.  ret: allocated, in the file's order; names may be there twice.
 * -EBADMSG: damaged, or not a state dict; the sentence names the entry, not the file. */
int pth_read(enum pth_form form, const uint8_t *bytes, size_t size, struct weight **ret, size_t *ret_n,
	     struct err *err);
