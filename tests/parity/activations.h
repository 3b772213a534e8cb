/* What the cpu backend's forward pass left in memory, for comparing it with ref's. */
#pragma once

#include "worker/cpu/plan.h"

struct ref_net;

/* After pass_forward(): gives ref, after its own forward pass of the same images, the outputs of every ReLU. */
void give_relus(const struct plan *plan, const struct pass *pass, struct ref_net *ref);
