/* libFuzzer: any bytes as a sweep file.  Whatever they are: a sweep, or at least one finding that prints as text. */
#include "fuzz.h"

#include "common/json.h"
#include "common/sweep.h"
#include "common/utf8.h"

static void check_text(const char *text)
{
	for (size_t size = strlen(text); size;) {
		size_t n = utf8_length(text, size);
		INVARIANT(n, "a report is not UTF-8");
		text += n;
		size -= n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const struct sweep_override o[] = {{"epochs", "3"}};
	struct findings f = {0};
	struct sweep *sweep = NULL;
	char *text = xmalloc(size + 1); /* exactly as long, so that a read behind the end is seen */
	memcpy(text, bytes, size);
	text[size] = '\0';
	int r = sweep_parse(&sweep, text, size, o, size % 2, "fuzz", &f);
	INVARIANT((r == 0) == (f.n_errors == 0), "findings and result disagree");
	autofree char *report = findings_print(&f, "fuzz", text);
	check_text(report);
	for (size_t i = 0; sweep && i < sweep->n_jobs && i < 10; i++) {
		struct err err;
		struct train_config config;
		autojson json_t *object = sweep_job_config(sweep, i);
		INVARIANT(config_from_json(&config, object, &err) == 0, "a job's own configuration: %s", err.text);
	}
	sweep_free(sweep);
	findings_fini(&f);
	free(text);
	return 0;
}
