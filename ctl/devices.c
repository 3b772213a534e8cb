/* sweepctl devices: what trains here, what it trains, and why it does not.  From the running daemon, else as last
 * stored. */
#include "ctl/ctl.h"
#include "ctl/table.h"
#include "common/json.h"

/* [{id, kind, name, state, reason, threads, job}, ...] as sweepd says, or as the store knows. */
static int stored_devices(struct ctl *ctl, json_t **ret, struct err *err)
{
	struct reader *r = NULL;
	struct device_row *rows = NULL;
	size_t n = 0;
	json_t *list = json_array();
	int e = reader_open(&r, &ctl->paths, err);

	if (e == 0)
		e = reader_devices(r, &rows, &n, err);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{ss, ss?, ss, ss?, sn}", "id", rows[i].id, "name", rows[i].name,
						      "state", "no daemon", "reason", rows[i].reason, "job"));
	device_rows_free(rows, n);
	reader_close(r);
	if (e == 0)
		*ret = list;
	else
		json_decref(list);
	return e;
}

static void print_table(const struct ctl *ctl, const json_t *devices)
{
	struct table *t = table_new();
	size_t i;
	json_t *d;

	table_column(t, "DEVICE", false, 0);
	table_column(t, "STATE", false, 0);
	table_column(t, "JOB", true, 0);
	table_column(t, "NAME", false, 0);
	table_shrink_text(t, 16);
	table_column(t, "REASON", false, 0);
	table_shrink_text(t, 16);
	json_array_foreach(devices, i, d)
	{
		int64_t job = json_int_or(d, "job", 0);
		autofree char *number = job ? xasprintf("%lld", (long long)job) : xstrdup("-");
		table_cell(t, json_str_or(d, "id", "?"));
		table_cell(t, json_str_or(d, "state", "?"));
		table_cell(t, number);
		table_cell(t, json_str_or(d, "name", ""));
		table_cell(t, json_str_or(d, "reason", ""));
	}
	table_print(t, &ctl->out, stdout);
	table_free(t);
}

static int run(struct ctl *ctl, void *data)
{
	autojson json_t *answer = NULL;
	autojson json_t *devices = NULL;
	struct err err;
	int e = client_ask(&ctl->paths, json_pack("{ss}", "verb", "status"), CLIENT_SILENCE_MS, &answer, &err);

	if (e == 0)
		devices = json_incref(json_object_get(answer, "devices"));
	else if (e == -ENOTCONN)
		e = stored_devices(ctl, &devices, &err);
	if (e < 0)
		return ctl_fail(ctl, e, &err);
	if (!devices)
		return ctl_refused(answer);
	if (ctl->json)
		print_json(json_incref(devices));
	else if (json_array_size(devices))
		print_table(ctl, devices);
	else
		fputs("no device has trained here yet (sweepctl doctor says what there is)\n", stderr);
	return EXIT_OK;
}

const struct verb verb_devices = {
	.name = "devices",
	.line = "what trains here, and which job it has",
	.group = "Machine",
	.example = "sweepctl devices",
	.exits = EXITS(EXIT_NO_DAEMON, EXIT_PERMISSION),
	.run = run,
};
