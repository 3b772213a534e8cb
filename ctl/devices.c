/* sweepctl devices: what trains here, what it trains, and why it does not.  From the running daemon, else as last
 * stored. */
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "ctl/table.h"
#include "common/json.h"

struct stored {
	struct device_row *rows;
	size_t n;
};

static int read_stored(struct ctl *ctl, struct stored *ret, struct err *err)
{
	struct reader *r = NULL;
	int e = reader_open(&r, &ctl->paths, err);

	if (e == 0)
		e = reader_devices(r, &ret->rows, &ret->n, err);
	reader_close(r);
	return e;
}

/* [{id, kind, name, state, reason, threads, job}, ...] as sweepd would say, of what the store knows. */
static json_t *stored_devices(const struct stored *stored)
{
	json_t *list = json_array();

	for (size_t i = 0; i < stored->n; i++)
		json_array_append_new(list, json_pack("{ss, ss?, ss, ss?, sn}", "id", stored->rows[i].id, "name",
						      stored->rows[i].name, "state", "no daemon", "reason",
						      stored->rows[i].reason, "job"));
	return list;
}

/* `use`: what the newest telemetry of its jobs says. */
static void add_use(json_t *devices, const struct stored *stored)
{
	size_t i;
	json_t *d;

	json_array_foreach(devices, i, d)
		for (size_t k = 0; k < stored->n; k++) {
			const struct device_row *row = &stored->rows[k];
			if (!str_eq(row->id, json_str_or(d, "id", "")))
				continue;
			autofree char *text = device_use_text(row);
			json_t *use = json_pack("{ss, so, so, so, so, so}", "text", text, "cpu_percent",
						json_known(row->cpu_percent), "gpu_percent",
						json_known(row->gpu_percent), "vram_mib", json_known(row->vram_mib),
						"watts", json_known(row->watts), "temperature_c",
						json_known(row->temperature_c));
			json_object_set_new(d, "use", use);
		}
}

/* "3", "3,4" where several share the device, "-". */
static char *jobs_text(const json_t *device)
{
	char *text = NULL;
	size_t i;
	json_t *job;

	json_array_foreach(json_object_get(device, "jobs"), i, job)
		text_append(&text, "%s%lld", text ? "," : "", (long long)json_integer_value(job));
	if (!text && json_int_or(device, "job", 0))
		text = xasprintf("%lld", (long long)json_int_or(device, "job", 0));
	return text ? text : xstrdup("-");
}

static void print_table(const struct ctl *ctl, const json_t *devices)
{
	struct table *t = table_new();
	size_t i;
	json_t *d;

	table_column(t, "DEVICE", false, 0);
	table_column(t, "STATE", false, 0);
	table_column(t, "JOB", true, 0);
	table_column(t, "USE", true, 1);
	table_column(t, "NAME", false, 0);
	table_shrink_text(t, 16);
	table_column(t, "REASON", false, 0);
	table_shrink_text(t, 16);
	json_array_foreach(devices, i, d)
	{
		autofree char *number = jobs_text(d);
		table_cell(t, json_str_or(d, "id", "?"));
		table_cell(t, json_str_or(d, "state", "?"));
		table_cell(t, number);
		table_cell(t, json_str_or(json_object_get(d, "use"), "text", ""));
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
	struct stored stored = {0};
	struct err err, unread;
	int e = client_ask(&ctl->paths, json_pack("{ss}", "verb", "status"), CLIENT_SILENCE_MS, &answer, &err);
	int stored_e = e == 0 || e == -ENOTCONN ? read_stored(ctl, &stored, &unread) : 0;

	if (e == 0)
		devices = json_incref(json_object_get(answer, "devices"));
	else if (e == -ENOTCONN && stored_e == 0)
		devices = stored_devices(&stored);
	if (devices)
		add_use(devices, &stored);
	device_rows_free(stored.rows, stored.n);
	if (e < 0 && e != -ENOTCONN)
		return ctl_fail(ctl, e, &err);
	if (e == -ENOTCONN && stored_e < 0)
		return ctl_fail(ctl, stored_e, &unread);
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
