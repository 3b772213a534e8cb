/* What the cpu backend's forward pass left in memory, for comparing it with ref's. */
#pragma once

#include "worker/cpu/plan.h"

struct ref_net;

struct relus {
	size_t outputs; /* of all ReLUs */
	size_t parted;	/* above 0 on one side only, before they were given */
};

/* After pass_forward(): gives ref, after its own forward pass of the same images, the outputs of every ReLU. */
struct relus give_relus(const struct plan *plan, const struct pass *pass, struct ref_net *ref);
