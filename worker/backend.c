#include "backend.h"

#include "backend_cpu.h"
#include "backend_cuda.h"
#include "ref/ref.h"

const struct backend *backend_find(const char *name)
{
	const struct backend *const backends[] = {&backend_ref, backend_cpu, backend_cuda};
	for (size_t i = 0; i < ARRAY_LEN(backends); i++)
		if (backends[i] && str_eq(backends[i]->name, name))
			return backends[i];
	return NULL;
}
