/* Data sets made up in memory, for tests that need images but not real ones. */
#pragma once

#include "worker/data.h"

/* train and test images of `classes` classes from a formula.  colour: three planes, as CIFAR's records; else one plane
 * for the three channels, as Fashion-MNIST. */
struct dataset *images_new(size_t train, size_t test, int classes, bool colour);
/* Caller frees with images_free(). */
void images_free(struct dataset *data);
