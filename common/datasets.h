/* Where data sets lie.  Only looks for files; reading them is the worker's (worker/data.h). */
#pragma once

#include "base.h"

/* Finds the directory that holds data set `name`; its files may be plain or .gz:
 *
 *   cifar10        data_batch_1.bin .. data_batch_5.bin, test_batch.bin; also in a sub-directory cifar-10-batches-bin
 *   cifar100       train.bin, test.bin; also in a sub-directory cifar-100-binary
 *   mnist          {train,t10k}-{images-idx3,labels-idx1}-ubyte; also in a sub-directory mnist or MNIST/raw
 *   fashion-mnist  the same file names; also in a sub-directory fashion-mnist or FashionMNIST/raw
 *
 * Looks, in order, in the places of places.h, data_dir (may be NULL) first.  A directory named as another data set's is not
 * taken.  ret_dir: allocated.  -ENOENT with the places looked in and what to do. */
int datasets_find(const char *name, const char *data_dir, char **ret_dir, struct err *err);
