/* sweep-forward: the verbs, and nothing else.  To add one: a file with `int verb_NAME(int argc, char **argv)`, a row in
 * verbs[]. */
#include "verbs.h"

#include "forward/key.h"
#include "forward/manual.h"

#include "common/log.h"
#include "common/protocol.h"

#include <sys/stat.h>

static const struct {
	const char *name, *line;
	/* argv[0] is the verb; the exit code.  Each parses its own options with argp. */
	int (*run)(int argc, char **argv);
} verbs[] = {
	{"follow", "sends the runs of a sweepd's store to Weights & Biases as they come (without a verb: this one)",
	 verb_follow},
	{"export", "writes runs as directories for `wandb sync` (sweepctl wandb export)", verb_export},
	{"login", "stores an API key (sweepctl wandb login)", verb_login},
	{"selftest", "makes a tiny sweep on a W&B server and reads it back (sweepctl wandb selftest)", verb_selftest},
	{"key", "says where the API key is found", verb_key},
	{"fetch", "brings data sets and weights to this machine (sweepctl dataset fetch, weights fetch)", verb_fetch},
};

static int usage(FILE *f)
{
	fputs("sweep-forward [VERB] [OPTION...]\n\n", f);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		fprintf(f, "  %-10s %s\n", verbs[i].name, verbs[i].line);
	fputs("\nsweep-forward VERB --help has the options of each.\n", f);
	return f == stdout ? EXIT_OK : EXIT_USAGE;
}

static int manual(void)
{
	struct roff_entry entries[ARRAY_LEN(verbs) + 1] = {0};
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		entries[i] = (struct roff_entry){verbs[i].name, verbs[i].line};
	follow_manual(entries);
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	key_guard();
	umask(0027);
	if (argc == 2 && str_eq(argv[1], "--manual"))
		return manual(); /* the build makes sweep-forward(8) with it */
	if (argc < 2 || (argv[1][0] == '-' && !str_eq(argv[1], "--help") && !str_eq(argv[1], "--version")))
		return verb_follow(argc, argv);
	if (str_eq(argv[1], "--help"))
		return usage(stdout);
	if (str_eq(argv[1], "--version"))
		return printf("sweep-forward " SWEEPD_VERSION "\n") < 0 ? EXIT_BAD_OUTCOME : EXIT_OK;
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (str_eq(verbs[i].name, argv[1]))
			return verbs[i].run(argc - 1, argv + 1);
	fprintf(stderr, "error: sweep-forward has no verb \"%s\"\n", argv[1]);
	return usage(stderr);
}
