/* sweepctl wandb login|status|sync|export|selftest: what concerns Weights & Biases.  The network is sweep-forward's, so
 * login, export and selftest become it. */
#include "ctl/wandb.h"
#include "ctl/format.h"
#include "ctl/launch.h"
#include "ctl/target.h"
#include "common/json.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPTION_BASE_URL = 512, OPTION_REMOVE, OPTION_UNCHECKED, OPTION_TO, OPTION_PROJECT, OPTION_ENTITY };

static const struct argp_option options[] = {
	{"base-url", OPTION_BASE_URL, "URL", 0,
	 "login, selftest: the server; $WANDB_BASE_URL, else https://api.wandb.ai"},
	{"remove", OPTION_REMOVE, NULL, 0, "login: forget the stored key of that server"},
	{"no-check", OPTION_UNCHECKED, NULL, 0, "login: do not ask the server whether it takes the key"},
	{"to", OPTION_TO, "DIR", 0, "export: write the runs there; else into wandb/ beside the store"},
	{"project", OPTION_PROJECT, "NAME", 0, "selftest: W&B's project; else sweepd-selftest"},
	{"entity", OPTION_ENTITY, "NAME", 0, "selftest: W&B's user or team; else the key's own"},
	{"timeout", 't', "SECONDS", 0, "sync: give up waiting after that time: exit code 124"},
	{0},
};

static enum wandb_action action_of(const char *word)
{
	static const char *const names[] = {[WANDB_LOGIN] = "login",
					    [WANDB_STATUS] = "status",
					    [WANDB_SYNC] = "sync",
					    [WANDB_EXPORT] = "export",
					    [WANDB_SELFTEST] = "selftest"};

	for (int i = WANDB_LOGIN; i <= WANDB_SELFTEST; i++)
		if (str_eq(word, names[i]))
			return (enum wandb_action)i;
	return WANDB_NONE;
}

static void take_words(struct wandb_input *input, struct argp_state *state)
{
	words_take(&input->targets, state);
	input->action = action_of(input->targets.items[0]);
	if (!input->action)
		argp_error(state, "login, status, sync, export or selftest, not \"%s\"", input->targets.items[0]);
	input->targets.items++;
	input->targets.n--;
	bool takes_targets = input->action == WANDB_SYNC || input->action == WANDB_EXPORT;
	if (input->targets.n && !takes_targets)
		argp_error(state, "takes no targets; \"%s\" is one", input->targets.items[0]);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct wandb_input *input = state->input;
	char *end;

	switch (key) {
	case OPTION_BASE_URL:
		input->base_url = arg;
		return 0;
	case OPTION_REMOVE:
		input->remove = true;
		return 0;
	case OPTION_UNCHECKED:
		input->unchecked = true;
		return 0;
	case OPTION_TO:
		input->to = arg;
		return 0;
	case OPTION_PROJECT:
		input->project = arg;
		return 0;
	case OPTION_ENTITY:
		input->entity = arg;
		return 0;
	case 't':
		input->timeout_s = strtod(arg, &end);
		if (end == arg || *end || !(input->timeout_s > 0))
			argp_error(state, "--timeout needs seconds, not \"%s\"", arg);
		return 0;
	case ARGP_KEY_ARGS:
		take_words(input, state);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "login, status, sync, export or selftest?");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {options, parse};

/* --- sweep-forward --- */

void forward_add(struct forward_call *call, const char *arg)
{
	call->argv = xrealloc_array(call->argv, call->n + 2, sizeof(call->argv[0]));
	call->argv[call->n++] = arg;
	call->argv[call->n] = NULL;
}

void forward_add_option(struct forward_call *call, const char *option, const char *value)
{
	if (!value)
		return;
	forward_add(call, option);
	forward_add(call, value);
}

void forward_call_init(struct forward_call *call, const struct ctl *ctl, const char *verb)
{
	*call = (struct forward_call){0};
	forward_add(call, "sweep-forward");
	forward_add(call, verb);
	forward_add_option(call, "--dir", ctl->dir);
}

void forward_call_fini(struct forward_call *call)
{
	free(call->argv);
}

int forward_exec(struct forward_call *call)
{
	autofree char *path = find_program("sweep-forward", "forward");

	if (!path) {
		fputs("error: the program sweep-forward is not beside sweepctl\n  do this:  install it\n", stderr);
		return EXIT_BAD_OUTCOME;
	}
	fflush(NULL);
	execv(path, (char *const *)call->argv);
	fprintf(stderr, "error: %s: %s\n", path, strerror(errno));
	return EXIT_BAD_OUTCOME;
}

json_t *forward_ask(struct forward_call *call)
{
	autofree char *path = find_program("sweep-forward", "forward");
	int ends[2], status;
	pid_t pid;
	char text[16384];
	size_t used = 0;
	posix_spawn_file_actions_t actions;

	if (!path || pipe(ends) < 0)
		return NULL;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, ends[0]);
	int e = posix_spawn(&pid, path, &actions, NULL, (char *const *)call->argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	for (ssize_t n = 1; e == 0 && n > 0 && used<sizeof(text); used += n> 0 ? (size_t)n : 0)
		n = read(ends[0], text + used, sizeof(text) - used);
	close(ends[0]);
	if (e == 0)
		waitpid(pid, &status, 0);
	return e == 0 ? json_parse(text, used, NULL) : NULL;
}

json_t *wandb_key_ask(const struct ctl *ctl, const char *base_url, const char *file_dir)
{
	struct forward_call call;

	if (ctl->paths.system)
		return NULL;
	forward_call_init(&call, ctl, "key");
	forward_add_option(&call, "--base-url", base_url);
	forward_add_option(&call, "--file-dir", file_dir);
	json_t *key = forward_ask(&call);
	forward_call_fini(&call);
	return key;
}

/* --- the verbs that are sweep-forward's --- */

static int login(struct ctl *ctl, const struct wandb_input *input)
{
	struct forward_call call;

	forward_call_init(&call, ctl, "login");
	forward_add_option(&call, "--base-url", input->base_url);
	if (ctl->paths.system)
		forward_add(&call, "--service");
	if (input->remove)
		forward_add(&call, "--remove");
	if (input->unchecked)
		forward_add(&call, "--no-check");
	if (ctl->json)
		forward_add(&call, "--json");
	int code = forward_exec(&call);
	forward_call_fini(&call);
	return code;
}

static int selftest(struct ctl *ctl, const struct wandb_input *input)
{
	struct forward_call call;

	forward_call_init(&call, ctl, "selftest");
	forward_add_option(&call, "--base-url", input->base_url);
	forward_add_option(&call, "--project", input->project);
	forward_add_option(&call, "--entity", input->entity);
	if (ctl->json)
		forward_add(&call, "--json");
	int code = forward_exec(&call);
	forward_call_fini(&call);
	return code;
}

/* "1,2,5-9" of the jobs that have begun; allocated. */
static char *job_list(const struct selection *sel)
{
	char *text = NULL;

	for (size_t i = 0; i < sel->n_jobs; i++) {
		size_t last = i;
		while (last + 1 < sel->n_jobs && sel->jobs[last + 1].id == sel->jobs[last].id + 1)
			last++;
		text_append(&text, "%s%lld", text ? "," : "", (long long)sel->jobs[i].id);
		if (last > i)
			text_append(&text, "-%lld", (long long)sel->jobs[last].id);
		i = last;
	}
	return text;
}

/* Keeps the jobs that have begun: the others have nothing to write. */
static void drop_unbegun(struct selection *sel)
{
	size_t n = 0;

	for (size_t i = 0; i < sel->n_jobs; i++) {
		if (sel->jobs[i].attempts)
			sel->jobs[n++] = sel->jobs[i];
		else
			job_row_fini(&sel->jobs[i]);
	}
	sel->n_jobs = n;
}

/* Targets are read here, so that sweeps and their names mean what they mean everywhere. */
static int export(struct ctl *ctl, const struct wandb_input *input)
{
	struct selection sel = {0};
	struct reader *r = NULL;
	struct err err;
	struct forward_call call;
	int code = EXIT_OK;
	int e = reader_open(&r, &ctl->paths, &err);

	e = e ? e : selection_init(&sel, r, &err);
	e = e ? e : selection_add_all(&sel, r, input->targets.items, input->targets.n, false, &err);
	reader_close(r);
	drop_unbegun(&sel);
	if (e < 0)
		code = ctl_fail(ctl, e, &err);
	else if (sel.missing)
		code = EXIT_NO_SUCH;
	else if (!sel.n_jobs)
		fputs("nothing to write: none of these jobs has begun\n", stderr);
	if (e == 0 && !code && sel.n_jobs) {
		autofree char *jobs = job_list(&sel);
		forward_call_init(&call, ctl, "export");
		forward_add_option(&call, "--to", input->to);
		if (ctl->json)
			forward_add(&call, "--json");
		forward_add(&call, jobs);
		code = forward_exec(&call);
		forward_call_fini(&call);
	}
	selection_fini(&sel);
	return code;
}

static int run(struct ctl *ctl, void *data)
{
	const struct wandb_input *input = data;

	switch (input->action) {
	case WANDB_NONE:
		break;
	case WANDB_LOGIN:
		return login(ctl, input);
	case WANDB_STATUS:
		return wandb_status(ctl, input);
	case WANDB_SYNC:
		return wandb_sync(ctl, input);
	case WANDB_EXPORT:
		return export(ctl, input);
	case WANDB_SELFTEST:
		return selftest(ctl, input);
	}
	BUG("action");
}

const struct verb verb_wandb = {
	.name = "wandb",
	.args = "login|status|sync|export|selftest [TARGET...]",
	.line = "Weights & Biases: key, how far runs are, files",
	.group = "Results",
	.example = "sweepctl wandb login < key.txt && sweepctl wandb status",
	.input_size = sizeof(struct wandb_input),
	.argp = &argp,
	.exits = EXITS(EXIT_BAD_OUTCOME, EXIT_NO_DAEMON, EXIT_NO_SUCH, EXIT_REFUSED, EXIT_PERMISSION, EXIT_TIMEOUT,
		       EXIT_INTERRUPTED),
	.run = run,
};
