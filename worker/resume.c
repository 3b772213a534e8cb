/* See resume.h. */
#include "resume.h"

#include "checkpoint.h"

#include "common/json.h"

json_t *runtime_json(const struct train_job *job)
{
	struct device_info info;
	job->backend->info(job->device, &info);
	json_t *versions = json_object();
	if (info.library)
		json_object_set_new(versions, info.library, json_string(info.version));
	return json_pack("{s:s, s:s, s:s, s:i, s:o}", "backend", job->backend->name, "device", info.name, "amp",
			 job->config.use_amp && info.amp ? info.amp : "fp32", "threads", job->threads, "versions",
			 versions);
}

json_t *resume_save(const struct train_job *job, const struct position *at)
{
	json_t *state = position_save(at);
	json_object_set_new(state, "config", config_to_json(&job->config));
	json_object_set_new(state, "runtime", runtime_json(job));
	json_object_set_new(state, "sweepd", json_string(SWEEPD_VERSION));
	return state;
}

/* Whether a schedule would have been another with another number of epochs. */
static bool counts_epochs(const struct train_config *cfg)
{
	return cfg->scheduler == SCHEDULER_ONE_CYCLE || cfg->use_fsgdm ||
	       (cfg->scheduler == SCHEDULER_COSINE && cfg->cosine_t_max == 0);
}

/* Parameters that may differ between a checkpoint and the job that goes on from it: they do not move a bit. */
static bool may_differ(const struct train_config *cfg, const char *name)
{
	if (str_eq(name, "epochs"))
		return !counts_epochs(cfg);
	static const char *const names[] = {"patience",		     "min_delta", "num_workers", "pin_memory",
					    "checkpoint_interval_s", "use_wandb", "log_steps"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_eq(name, names[i]))
			return true;
	return false;
}

static int same_config(const json_t *state, const struct train_config *cfg, struct err *err)
{
	const json_t *stored = json_object_get(state, "config");
	for (size_t i = 0; i < n_params; i++) {
		autojson json_t *mine = config_get(cfg, &params[i]);
		if (may_differ(cfg, params[i].name) || json_equal(mine, json_object_get(stored, params[i].name)))
			continue;
		return err_set(err, -EINVAL, "the checkpoint was made with another %s; start without it (remove last.safetensors)",
			       params[i].name);
	}
	return 0;
}

static char *runtime_difference(const struct train_job *job, const json_t *state)
{
	autojson json_t *now = runtime_json(job);
	const json_t *then = json_object_get(state, "runtime");
	const char *key;
	json_t *value;
	json_object_foreach(now, key, value) {
		const json_t *before = json_object_get(then, key);
		if (json_equal(value, before))
			continue;
		autofree char *a = before ? json_dumps(before, JSON_ENCODE_ANY) : NULL;
		autofree char *b = json_dumps(value, JSON_ENCODE_ANY);
		return xasprintf("%s was %s, now %s: not bit for bit the undisturbed run", key, a ? a : "?", b);
	}
	return NULL;
}

int resume_load(const struct train_job *job, const struct net *net, size_t images, struct state *state,
		struct position *at, char **ret_note, struct err *err)
{
	autojson json_t *saved = NULL;
	int r = checkpoint_load(job->job_dir, net, state, &saved, err);
	if (r < 0)
		return r;
	r = same_config(saved, &job->config, err);
	if (r < 0)
		return r;
	r = position_load(at, saved, images, err);
	if (r < 0)
		return err_prefix(err, -EBADMSG, "last.safetensors");
	*ret_note = runtime_difference(job, saved);
	return 0;
}
