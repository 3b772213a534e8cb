/* The metrics by which a sweep can be judged, and what a job must have set to report each; see sweep_internal.h. */
#include "sweep_internal.h"

#include "json.h"

#define OF(what) what "_loss", what "_accuracy", what "_top5_accuracy"

const char *const sweep_metrics[] = {
	"train_loss",	   "train_accuracy", OF("test"), OF("ema_test"),	OF("mirror_test"), OF("ema_mirror_test"), OF("val"),
	OF("ema_val"), OF("mirror_val"), OF("ema_mirror_val"),
};
const size_t n_sweep_metrics = ARRAY_LEN(sweep_metrics);

static const struct synonym synonyms[] = {
	{"accuracy", "test_accuracy"}, {"acc", "test_accuracy"}, {"loss", "test_loss"},	{"top5", "test_top5_accuracy"},
	{"top1", "test_accuracy"}, {"test_acc", "test_accuracy"}, {"val_acc", "val_accuracy"}, {"train_acc", "train_accuracy"},
	{"validation_accuracy", "val_accuracy"}, {"validation_loss", "val_loss"},
};

void take_metric_name(struct reading *r, const struct node *node)
{
	if (!want_kind(r, node, NODE_STR, "name", "text"))
		return;
	for (size_t i = 0; i < n_sweep_metrics; i++)
		if (str_eq(node->text, sweep_metrics[i])) {
			free(r->sweep->metric);
			r->sweep->metric = xstrdup(node->text);
			r->metric_mark = node->mark;
			return;
		}
	autofree char *near = hint(nearest_meaning(node->text, sweep_metrics, n_sweep_metrics, synonyms, ARRAY_LEN(synonyms)));
	findings_add(r->f, node->mark, "unknown metric \"%.60s\"\n  expected: " SWEEP_METRIC_RULE "%s", node->text, near);
}

/* What a part of a metric's name needs: a number above 0, or the choice. */
static const struct {
	const char *part, *param, *choice, *expected;
} needs[] = {
	{"val_", "val_split", NULL, "val_split such as 0.1"},
	{"ema_", "ema_decay", NULL, "ema_decay such as 0.999"},
	{"mirror_", "tta", "mirror", "tta mirror"},
};

static bool has(const json_t *value, const char *choice)
{
	return choice ? str_eq(json_string_value(value), choice) : json_number_value(value) > 0;
}

void check_metric(struct reading *r)
{
	const struct sweep *sweep = r->sweep;
	bool is_accuracy = strstr(sweep->metric, "accuracy");
	if (sweep->maximize != is_accuracy)
		findings_warn(r->f, r->metric_mark, "metric \"%s\" with the goal %s: the %s job would lead the list\n"
			      "  expected: goal: %s, or no goal", sweep->metric, sweep->maximize ? "maximize" : "minimize",
			      is_accuracy ? "least accurate" : "worst", is_accuracy ? "maximize" : "minimize");
	for (size_t k = 0; k < ARRAY_LEN(needs); k++) {
		if (!strstr(sweep->metric, needs[k].part))
			continue;
		for (size_t i = 0; i < sweep->n_jobs; i++) {
			const json_t *value = sweep_job_value(sweep, i, needs[k].param);
			if (has(value, needs[k].choice))
				continue;
			autofree char *text = json_is_string(value) ? xstrdup(json_string_value(value))
								    : xasprintf("%g", json_number_value(value));
			findings_add(r->f, r->metric_mark,
				     "metric \"%s\" is not reported by job %zu of the sweep, whose \"%s\" is %s\n"
				     "  expected: %s in every job, or another metric",
				     sweep->metric, i + 1, needs[k].param, text, needs[k].expected);
			return;
		}
	}
}
