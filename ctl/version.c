/* sweepctl version. */
#include "ctl/ctl.h"

#include "common/json.h"

static int run(struct ctl *ctl, void *input)
{
	if (ctl->json)
		print_json(json_pack("{ss}", "version", SWEEPD_VERSION));
	else
		puts("sweepctl " SWEEPD_VERSION);
	return EXIT_OK;
}

const struct verb verb_version = {
	.name = "version",
	.line = "print the version",
	.group = "Machine",
	.run = run,
};
