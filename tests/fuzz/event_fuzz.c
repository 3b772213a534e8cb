/* libFuzzer: any bytes as the event file of an attempt, stored as slot_end.c stores the rest of a dead worker's. */
#include "fuzz.h"

#include "common/json.h"
#include "common/lines.h"
#include "common/paths.h"
#include "common/protocol.h"
#include "daemon/outcome.h"
#include "daemon/store.h"

static struct store *store;
static int64_t job;

static void must(int r, const struct err *err)
{
	INVARIANT(r >= 0, "%s", err->text);
}

static void open_store(void)
{
	static const char text[] = "{\"parameters\":{\"seed\":{\"value\":1}}}";
	struct err err;
	struct paths paths;
	struct sweep *sweep;
	struct findings findings = {0};
	struct sweep_summary summary;
	int64_t id;
	must(paths_daemon(&paths, fuzz_dir(), &err), &err);
	must(paths_create(&paths, &err), &err);
	must(store_open(&store, &paths, &err), &err);
	must(sweep_parse(&sweep, text, strlen(text), NULL, 0, "fuzz", &findings), &err);
	autojson json_t *overrides = json_array();
	struct new_sweep row = {.name = "fuzz", .text = text, .overrides = overrides, .sweep = sweep};
	must(store_begin(store, &err), &err);
	must(store_add_sweep(store, &row, &id, &err), &err);
	must(store_add_jobs(store, id, sweep, 0, 1, &err), &err);
	must(store_activate_sweep(store, id, &err), &err);
	must(store_sweep(store, id, &summary, &err), &err);
	must(store_upsert_device(store, "cpu", "cpu", "fuzz", &err), &err);
	must(store_commit(store, &err), &err);
	job = summary.first_job;
	sweep_free(sweep);
	findings_fini(&findings);
	paths_fini(&paths);
}

/* False: nothing behind it is read. */
static bool store_line(int64_t attempt, const char *line, size_t size)
{
	struct err err;
	struct outcome outcome;
	autojson json_t *event = json_parse(line, size, &err);
	if (!json_is_object(event))
		return false;
	int r = store_add_event(store, attempt, event, &err);
	INVARIANT(r == 0 || r == 1 || r == -EPROTO, "an event is refused with %d: %s", r, err.text);
	return r >= 0 && !outcome_of_event(event, &outcome);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct err err;
	struct lines lines;
	int64_t worker, attempt;
	char *line;
	size_t n;
	bool more = true;
	if (!store)
		open_store();
	must(store_begin(store, &err), &err);
	must(store_add_worker(store, "cpu", &worker, &err), &err);
	must(store_begin_attempt(store, job, worker, "cpu", &attempt, &err), &err);
	lines_init(&lines, WORKER_LINE_MAX);
	if (lines_feed(&lines, (const char *)bytes, size, &err) == 0)
		while (more && (line = lines_next(&lines, &n)))
			more = store_line(attempt, line, n);
	lines_fini(&lines);
	store_rollback(store);
	return 0;
}
