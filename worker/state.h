/* What backends share in handling struct state (backend.h). */
#pragma once

#include "backend.h"

/* A zeroed state of net's sizes with what recipe makes a plan keep (NULL: no slots, no average); a backend's
 * state_alloc(). */
void state_alloc(struct state *ret, const struct net *net, const struct recipe *recipe, enum dtype dtype);
/* to[i] = from[i], converted where the types differ. */
void values_copy(void *to, enum dtype to_type, const void *from, enum dtype from_type, size_t n);
