/* What jobs use of the machine: views resources and samples; see reader.h. */
#include "ctl/format.h"
#include "ctl/reader_internal.h"

#include <math.h>

int reader_resources(struct reader *r, int64_t job, struct resources_row *ret, struct err *err)
{
	struct stmt *s;
	int e = query_of(r,
		      "SELECT ram_mib, vram_mib, watt_hours, watts, watts_max, cpu_percent, cpu_percent_max, gpu_percent, "
		      "gpu_percent_max, temperature_c FROM resources WHERE job = ?",
		      job, &s, err);

	if (e < 0)
		return e;
	e = step(s, err);
	if (e <= 0)
		return e;
	*ret = (struct resources_row){
		.ram_mib = stmt_num(s, 0),
		.vram_mib = stmt_num(s, 1),
		.watt_hours = stmt_num(s, 2),
		.watts = stmt_num(s, 3),
		.watts_max = stmt_num(s, 4),
		.cpu_percent = stmt_num(s, 5),
		.cpu_percent_max = stmt_num(s, 6),
		.gpu_percent = stmt_num(s, 7),
		.gpu_percent_max = stmt_num(s, 8),
		.temperature_c = stmt_num(s, 9),
	};
	stmt_reset(s);
	return 1;
}

int reader_samples(struct reader *r, int64_t job, struct sample_row **ret, size_t *ret_n, struct err *err)
{
	struct sample_row *rows = NULL;
	size_t n = 0;
	struct stmt *s;
	int e = query_of(r, "SELECT at_ms, seconds, watts FROM samples WHERE job = ? ORDER BY at_ms, event", job, &s, err);

	if (e < 0)
		return e;
	while ((e = step(s, err)) > 0) {
		rows = grow(rows, n, sizeof(*rows));
		rows[n++] = (struct sample_row){stmt_int(s, 0), stmt_num(s, 1), stmt_num(s, 2)};
	}
	if (e < 0) {
		free(rows);
		return e;
	}
	*ret = rows;
	*ret_n = n;
	return 0;
}

/* Jobs that share a device share its power and memory; how busy it is, each of them says of all of it. */
int reader_devices(struct reader *r, struct device_row **ret, size_t *ret_n, struct err *err)
{
	struct device_row *rows = NULL;
	size_t n = 0;
	struct stmt *s;
	int e = query(r,
		      "SELECT id, name, d.state, d.reason, u.cpu_percent, u.gpu_percent, u.vram_mib, u.watts, u.temperature_c "
		      "FROM device AS d LEFT JOIN (SELECT a.device, "
		      "sum(t.value) FILTER (WHERE t.name = 'cpu_percent') AS cpu_percent, "
		      "max(t.value) FILTER (WHERE t.name = 'gpu_percent') AS gpu_percent, "
		      "sum(t.value) FILTER (WHERE t.name = 'vram_mib') AS vram_mib, "
		      "sum(t.value) FILTER (WHERE t.name = 'watts') AS watts, "
		      "max(t.value) FILTER (WHERE t.name = 'temperature_c') AS temperature_c "
		      "FROM attempt AS a CROSS JOIN telemetry AS t ON t.attempt = a.id "
		      "AND t.event = (SELECT max(event) FROM telemetry WHERE attempt = a.id) "
		      "WHERE a.state = 'running' GROUP BY a.device) AS u ON u.device = d.id ORDER BY d.kind DESC, d.id",
		      &s, err);

	while (e >= 0 && (e = step(s, err)) > 0) {
		rows = grow(rows, n, sizeof(*rows));
		rows[n++] = (struct device_row){
			.id = copy(s, 0),
			.name = copy(s, 1),
			.state = copy(s, 2),
			.reason = copy(s, 3),
			.cpu_percent = stmt_num(s, 4),
			.gpu_percent = stmt_num(s, 5),
			.vram_mib = stmt_num(s, 6),
			.watts = stmt_num(s, 7),
			.temperature_c = stmt_num(s, 8),
		};
	}
	if (e < 0) {
		device_rows_free(rows, n);
		return e;
	}
	*ret = rows;
	*ret_n = n;
	return 0;
}

char *device_use_text(const struct device_row *d)
{
	double percent = isnan(d->gpu_percent) ? d->cpu_percent : d->gpu_percent;
	char *text = xstrdup("");

	if (!isnan(percent))
		text_append(&text, "%.0f %%", percent);
	if (!isnan(d->watts))
		text_append(&text, "%s%.0f W", *text ? " " : "", d->watts);
	return text;
}
