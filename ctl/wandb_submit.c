/* What submit says of Weights & Biases. */
#include "ctl/format.h"
#include "ctl/columns.h"
#include "ctl/wandb.h"
#include "common/json.h"
#include "common/wandb.h"

/* "key from ~/cifar/.env", or what to do. */
static char *key_text(const struct ctl *ctl, const struct sweep *sweep, const char *file_dir)
{
	autojson json_t *key = wandb_key_ask(ctl, json_str_or(sweep->wandb, "base_url", NULL), file_dir);
	const char *source = json_str_or(key, "source", NULL), *warning = json_str_or(key, "warning", NULL);

	if (warning)
		fprintf(stderr, "warning: %s\n", warning);
	if (ctl->paths.system)
		return xstrdup("how far: sweepctl wandb status");
	if (!key)
		return xstrdup("sweep-forward is not installed: runs are kept here");
	if (!source)
		return xstrdup("no API key yet (sweepctl wandb login): runs wait here");
	autofree char *shown = format_path(source);
	return xasprintf("key from %s", shown);
}

void wandb_print_new(const struct ctl *ctl, const struct sweep *sweep, const char *file_dir)
{
	size_t n = sweep_wandb_jobs(sweep);
	const char *mode = json_str_or(sweep->wandb, "mode", ""), *entity = json_str_or(sweep->wandb, "entity", "");
	bool offline = str_eq(mode, wandb_mode_names[WANDB_OFFLINE]);

	if (!n && sweep->has_wandb)
		puts("  wandb    no job has use_wandb: runs are kept here only");
	if (!n)
		return;
	if (str_eq(mode, wandb_mode_names[WANDB_DISABLED])) {
		puts("  wandb    mode is disabled: runs are kept here only");
		return;
	}
	autofree char *key =
		offline ? xstrdup("a file for `wandb sync` as each run ends") : key_text(ctl, sweep, file_dir);
	autofree char *some = n < sweep->n_jobs ? xasprintf(", %zu of %zu jobs", n, sweep->n_jobs) : xstrdup("");
	autofree char *line = xasprintf("  wandb    %s%s%s%s%s;", offline ? "offline, " : "", entity,
					*entity ? "/" : "", json_str_or(sweep->wandb, "project", ""), some);
	bool fits = text_columns(line, strlen(line)) + 1 + text_columns(key, strlen(key)) <= 80;
	printf("%s%s%s\n", line, fits ? " " : "\n           ", key);
}

void wandb_print_existing(struct reader *r, int64_t id, const struct sweep *sweep)
{
	struct wandb_state state = {0};
	const char *mode = json_str_or(sweep->wandb, "mode", ""), *project = json_str_or(sweep->wandb, "project", "");

	if (!sweep_wandb_jobs(sweep) || !r || reader_wandb(r, id, &state, NULL) < 0)
		return;
	bool same = state.n_sweeps && str_eq(state.sweeps[0].mode, mode) && str_eq(state.sweeps[0].project, project);
	if (!same)
		puts("its settings of W&B stay as they were submitted (sweepctl wandb status)");
	wandb_state_fini(&state);
}
