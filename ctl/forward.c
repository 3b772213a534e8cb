/* See forward.h. */
#include "ctl/forward.h"
#include "ctl/launch.h"

#include <unistd.h>

#define MAX_ARGS 512

int become_forward(char *const *argv)
{
	autofree char *program = find_program("sweep-forward", "forward");
	char *all[MAX_ARGS + 2] = {program};
	size_t n = 0;

	if (!program) {
		fputs("error: sweep-forward is neither beside sweepctl nor in $PATH\n  do this:  install it, or add "
		      "its "
		      "directory to PATH\n",
		      stderr);
		return EXIT_BAD_OUTCOME;
	}
	for (; argv[n]; n++) {
		if (n == MAX_ARGS) {
			fprintf(stderr, "error: more than %d arguments\n", MAX_ARGS);
			return EXIT_USAGE;
		}
		all[n + 1] = argv[n];
	}
	fflush(NULL);
	execv(program, all);
	fprintf(stderr, "error: %s: %s\n", program, strerror(errno));
	return EXIT_BAD_OUTCOME;
}
