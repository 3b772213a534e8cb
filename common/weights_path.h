/* Where weights lie: files that `sweepctl weights fetch` brought, or a person's own.  Only looks for files; reading them
 * is the worker's (worker/weights.h). */
#pragma once

#include "base.h"

/* The path of weights: `name` is a name of the catalogue (resnet18-v1), the name of a file in one of the places of
 * places.h (resnet18-f37072fd.pth), or, with a "/", a path.  data_dir (may be NULL): DIR/weights comes first.  ret_path:
 * allocated.  -ENOENT with the places looked in and what to do. */
int weights_path(const char *name, const char *data_dir, char **ret_path, struct err *err);
