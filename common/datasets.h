/* Where data sets lie.  Only looks for files; reading them is the worker's (worker/data.h). */
#pragma once

#include "base.h"

/* Finds the directory that holds data set `name` ("cifar100": train.bin and test.bin, also in a sub-directory
 * cifar-100-binary; "fashion-mnist": {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz, also in a
 * sub-directory fashion-mnist).  Looks, in order, in: data_dir (may be NULL), $SWEEPD_DATA (colon-separated),
 * $XDG_DATA_HOME or ~/.local/share + /sweepd/datasets, /var/lib/sweepd/datasets, /usr/share/datasets.
 * ret_dir: allocated.  -ENOENT with the places looked in and what to do. */
int datasets_find(const char *name, const char *data_dir, char **ret_dir, struct err *err);
