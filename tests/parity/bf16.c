#include "bf16.h"

#include "worker/cpu/dnn.h"

bool bf16_run(int argc, char **argv)
{
	bool bf16 = argc == 2 && str_eq(argv[1], "bf16");
	if (bf16 && !dnn_has_bf16()) {
		puts("1..0 # SKIP no bf16 on this processor");
		exit(0);
	}
	return bf16;
}
