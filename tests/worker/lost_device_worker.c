/* sweep-worker whose device fails under it: after $LOSE_AFTER steps of a job every call says so, as a GPU's do once its
 * context is dead.  As much of the options as sweepd gives; trains with ref. */
#include "common/protocol.h"
#include "worker/link.h"
#include "worker/ref/ref.h"

#include <stdatomic.h>

static atomic_bool lost; /* for all places of the process */

static int losing_run(struct plan *plan, uint32_t first, uint32_t n, struct sums *sums, struct err *err)
{
	const char *after = getenv("LOSE_AFTER");
	if (after && first + n > (uint32_t)atoi(after))
		atomic_store(&lost, true);
	if (atomic_load(&lost))
		return err_set(err, -ENODEV, "the device failed while it trained: uncorrectable ECC error");
	return backend_ref.run(plan, first, n, sums, err);
}

int main(int argc, char **argv)
{
	struct err err;
	struct backend backend = backend_ref;
	struct link_config config = {.device_id = "cpu", .orphan_timeout_s = ORPHAN_TIMEOUT_S};
	struct slot_device devices[SLOTS_MAX] = {0};
	int slots = 1, code = EXIT_OK;
	backend.run = losing_run;
	for (int i = 1; i + 1 < argc; i += 2) {
		if (str_eq(argv[i], "--socket"))
			config.socket_path = argv[i + 1];
		else if (str_eq(argv[i], "--token-file"))
			config.token_file = argv[i + 1];
		else if (str_eq(argv[i], "--worker"))
			config.worker = atoi(argv[i + 1]);
		else if (str_eq(argv[i], "--slots"))
			slots = atoi(argv[i + 1]);
	}
	const struct device_spec spec = {.threads = 1};
	for (int i = 0; i < slots; i++) {
		devices[i] = (struct slot_device){.backend = &backend, .threads = 1};
		if (backend.open(&devices[i].device, &spec, &err) < 0)
			return EXIT_BAD_OUTCOME;
	}
	if (link_serve(&config, devices, slots, &err) < 0) {
		fprintf(stderr, "error: %s\n", err.text);
		code = EXIT_BAD_OUTCOME;
	}
	for (int i = 0; i < slots; i++)
		backend.close(devices[i].device);
	return code;
}
