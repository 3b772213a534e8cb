/* What the labels of the data sets are called, as their authors call them. */
#pragma once

#include "base.h"

/* "?": there is no such class. */
const char *class_name(const char *dataset, int class);
