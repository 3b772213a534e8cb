/* sweepfile(5): keys from sweep_keys.def, parameters from params.def.  The examples are parsed by a test. */
#include "ctl/manual.h"
#include "ctl/text.h"
#include "common/roff.h"
#include "common/sweep.h"

static const char *const examples[] = {
	"# Eight runs, compared by their last test accuracy.\n"
	"name: grid\n"
	"metric: {name: test_accuracy, goal: maximize}\n"
	"parameters:\n"
	"  model:     {values: [resnet18, resnet50]}\n"
	"  lr:        {values: [0.1, 0.05]}\n"
	"  scheduler: {values: [StepLR, ReduceLROnPlateau]}\n"
	"when:\n"
	"  - {if: {model: resnet50}, set: {batch_size: {value: 64}}}\n"
	"defaults: {dataset: cifar100, epochs: 200, weight_decay: 5e-4}\n",
	"# Momentum varies where Nesterov is on; each run with three seeds.\n"
	"parameters:\n"
	"  nesterov: {values: [true, false]}\n"
	"when:\n"
	"  - if: {nesterov: true}\n"
	"    set: {momentum: {values: [0.9, 0.95]}}\n"
	"repeat: 3\n"
	"resources: {priority: 10, retries: 1, time_limit: 8h}\n"
	"defaults: {model: resnet18, epochs: 30}\n",
	"{\"name\": \"from-json\",\n"
	" \"parameters\": {\"lr\": {\"values\": [0.1, 0.05]},\n"
	"                \"seed\": {\"values\": [0, 1]}},\n"
	" \"run_cap\": 3,\n"
	" \"x-note\": \"keys that begin with x- are yours\"}\n",
};

/* "text. Default: the file's name." */
static void key_entry(const struct sweep_key *k)
{
	autofree char *name = xasprintf("%s (%s)", k->key, k->value);
	autofree char *text = *k->otherwise ? xasprintf("%s. Default: %s", k->help, k->otherwise) : xstrdup(k->help);

	roff_entry(name, text);
}

/* The file's own keys, each followed by those of the map it holds. */
static void put_keys(void)
{
	for (size_t i = 0; i < n_sweep_keys; i++) {
		bool inside = sweep_keys[i].map, before = i && sweep_keys[i - 1].map;
		if (inside && !before)
			puts(".RS");
		if (!inside && before)
			puts(".RE");
		key_entry(&sweep_keys[i]);
	}
	if (sweep_keys[n_sweep_keys - 1].map)
		puts(".RE");
}

static void put_parameters(void)
{
	for (size_t i = 0; i < n_params; i++) {
		const struct param *p = &params[i];
		autofree char *allowed = param_allowed(p);
		autofree char *name = xasprintf("%s (%s, default %s)", p->name, param_type(p), p->default_text);
		autofree char *text = xasprintf("%s. Allowed: %s", p->help, allowed);
		roff_entry(name, text);
	}
}

void manual_sweepfile(void)
{
	static const char *const pages[] = {"sweepctl(1)", "sweepd(8)", "sweep-worker(1)", NULL};

	roff_begin("sweepfile", 5, "what a sweep is: parameters, their values, and how the jobs are run");
	roff_section("DESCRIPTION");
	roff_text("A sweep file is JSON or YAML with the keys of a W&B sweep configuration and a few more. `sweepctl "
		  "submit "
		  "FILE` makes a job of each combination of the values; `sweepctl submit --dry-run FILE` shows them "
		  "and stores "
		  "nothing. The order is that of the file, and the last parameter varies fastest, so the same file "
		  "always gives "
		  "the same jobs.");
	puts(".PP");
	roff_text("YAML is read by the rules of its version 1.2: 5e-4 is a number, no and off are text. A key that "
		  "stands twice "
		  "is an error, and so is one that nobody knows, except \"$schema\" and those that begin with \"x-\". "
		  "All that "
		  "is wrong is said at once, with its line. Keys of W&B that this version does not have (program, "
		  "command, "
		  "early_terminate) are refused with a sentence.");
	roff_section("KEYS");
	put_keys();
	roff_section("PARAMETERS");
	roff_text("Names and defaults are PyTorch's where PyTorch has the thing. They stand in parameters, in defaults "
		  "and in "
		  "the set of a rule; `--override NAME=VALUE` of `sweepctl submit` wins over all of them.");
	put_parameters();
	roff_section("EXAMPLES");
	for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
		if (i)
			puts(".PP");
		roff_example(examples[i]);
	}
	roff_see_also(pages);
}
