/* What ptxas said when the kernels were compiled: for every architecture all kernels are there, none of the hot ones
 * spills registers to memory, none has more registers than two blocks of 256 threads leave.
 *   ptxas_test LOG ARCH...    without arguments: nothing was compiled (77: skipped) */
#include "common/base.h"
#include "worker/cuda/kernel/kernels.h"

#define MAX_REGISTERS 128

static const bool hot[KERNEL_COUNT] = {
#define ROW(id, name, cells, is_hot) [KERNEL_##id] = is_hot,
	KERNELS(ROW)
#undef ROW
};
static const bool per_cell[KERNEL_COUNT] = {
#define ROW(id, name, cells, is_hot) [KERNEL_##id] = cells,
	KERNELS(ROW)
#undef ROW
};

struct usage {
	unsigned spill_stores, spill_loads, registers;
};

/* "Compiling entry function 'NAME' for 'sm_ARCH'", then lines with the numbers. */
static bool find_usage(const char *log, const char *name, const char *arch, struct usage *ret)
{
	autofree char *head = xasprintf("Compiling entry function '%s' for 'sm_%s'", name, arch);
	const char *at = strstr(log, head), *spills = at ? strstr(at, "bytes stack frame, ") : NULL;
	const char *used = at ? strstr(at, "Used ") : NULL;
	return spills && used &&
	       sscanf(spills, "bytes stack frame, %u bytes spill stores, %u bytes spill loads", &ret->spill_stores,
		      &ret->spill_loads) == 2 &&
	       sscanf(used, "Used %u registers", &ret->registers) == 1;
}

static int check(const char *log, enum kernel_id id, enum cell cell, const char *arch)
{
	struct usage u;
	const char *name = kernel_name(id, cell);
	if (!find_usage(log, name, arch, &u)) {
		printf("%s, sm_%s: not in the log\n", name, arch);
		return 1;
	}
	if (u.registers > MAX_REGISTERS || (hot[id] && u.spill_stores + u.spill_loads > 0)) {
		printf("%s, sm_%s: %u registers, %u bytes of spill stores, %u of spill loads\n", name, arch,
		       u.registers, u.spill_stores, u.spill_loads);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		puts("no nvcc: no kernels were compiled");
		return 77;
	}
	autofile FILE *f = fopen(argv[1], "r");
	static char log[1 << 20];
	if (!f || fread(log, 1, sizeof(log) - 1, f) == 0) {
		printf("%s cannot be read\n", argv[1]);
		return 1;
	}
	int bad = 0, checked = 0;
	for (int i = 2; i < argc; i++)
		for (enum kernel_id id = 0; id < KERNEL_COUNT; id++)
			for (enum cell cell = 0; cell < (per_cell[id] ? CELL_COUNT : 1); cell++, checked++)
				bad += check(log, id, cell, argv[i]);
	printf("%d kernels for %d architectures, %d bad\n", checked, argc - 2, bad);
	return bad > 0;
}
