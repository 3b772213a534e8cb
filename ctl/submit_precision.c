/* sweepctl submit: a sweep that compares mixed precision where no device has it would compare nothing. */
#include "ctl/launch.h"
#include "ctl/machine.h"
#include "ctl/submit.h"
#include "common/json.h"

static bool sweeps_precision(const struct sweep *sweep)
{
	for (size_t i = 0; i < sweep->n_swept; i++)
		if (str_eq(sweep->swept[i], "use_amp"))
			return true;
	return false;
}

/* Whether devices that train are known and none of them has mixed precision. */
static bool none_has_it(const json_t *devices)
{
	bool any = false;
	size_t i;
	json_t *device;

	json_array_foreach(devices, i, device) {
		if (!json_bool_or(device, "trains", false))
			continue;
		if (json_str_or(device, "amp", NULL))
			return false;
		any = true;
	}
	return any;
}

void submit_tell_precision(const struct sweep *sweep)
{
	if (!sweeps_precision(sweep))
		return;
	autofree char *worker = find_program("sweep-worker", "worker");
	char *argv[] = {worker, "--devices", "--json", NULL};
	autofree char *text = worker ? program_output(argv) : NULL;
	autojson json_t *found = text ? json_parse(text, strlen(text), NULL) : NULL;

	if (none_has_it(json_object_get(found, "devices")))
		fputs("warning: no device of this machine has mixed precision (a CPU needs bf16): jobs with \"use_amp\" true\n"
		      "  train as those with false do, in fp32\n", stderr);
}
