/* doctor: whether runs could be sent to Weights & Biases.  Nothing of training needs it; see doctor.h. */
#include "ctl/doctor.h"
#include "ctl/format.h"
#include "ctl/wandb.h"

void doctor_wandb(struct doctor *d)
{
	autojson json_t *key = wandb_key_ask(d->ctl, NULL, NULL);
	const char *source = json_str_or(key, "source", NULL), *warning = json_str_or(key, "warning", NULL);
	const char *server = json_str_or(key, "server", "");

	if (d->ctl->paths.system)
		return; /* the service's key is seen by the service alone */
	if (!key) {
		doctor_add(d, HEALTH_NONE, "wandb", NULL,
			   "sweep-forward is not installed; only sending runs to W&B needs it");
	} else if (!source) {
		doctor_add(d, HEALTH_NONE, "wandb", "sweepctl wandb login",
			   "no key for %s, and none needed: runs are kept here", server);
	} else {
		autofree char *shown = format_path(source);
		if (warning) {
			struct err err;
			err_set(&err, -EPERM, "%s", warning);
			doctor_add_err(d, HEALTH_WARN, "wandb", NULL, &err);
		} else {
			doctor_add(d, HEALTH_OK, "wandb", NULL, "key for %s in %s", server, shown);
		}
	}
}
