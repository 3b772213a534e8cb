/* sweep-worker(1): what is not in the table of options. */
#include "manual.h"

#include "common/roff.h"

static const struct roff_entry files[] = {
	{"DIR/last.safetensors, DIR/best.safetensors",
	 "checkpoints: weights under torchvision's names, and the state to go on from"},
	{"DIR/config.json", "the whole configuration: --config takes it"},
	{"DIR/events.1.jsonl", "every event, written before it is printed or sent"},
	{"DIR/log.txt", "what a person would want to know"},
	{0},
};

static const struct roff_entry environment[] = {
	{"SWEEPD_DATA",
	 "directories with data sets, and in their sub-directory weights files of weights, separated by colons; --data is looked "
	 "into first"},
	{"CUDA_VISIBLE_DEVICES", "which GPUs may be used, as everywhere"},
	{"CUDA_HOME, VIRTUAL_ENV, CONDA_PREFIX", "where else CUDA's libraries may lie"},
	{"OMP_WAIT_POLICY", "passive unless it is set: waiting threads leave the cores to the loader"},
	{0},
};

static const struct roff_entry exits[] = {
	{"0", "trained to the end"},
	{"1", "training failed: it diverged, ran out of memory, the data set is damaged; the last event says why"},
	{"2", "wrong usage"},
	{"5", "a value of the configuration is refused, or the data set is not there"},
	{"6", "DIR holds another run"},
	{"130", "stopped by SIGINT or SIGTERM, after a checkpoint; --resume goes on"},
	{0},
};

void manual_print(const struct argp_option *options)
{
	static const char *const pages[] = {"sweepd(8)", "sweepctl(1)", "sweepfile(5)", NULL};

	roff_begin("sweep-worker", 1, "trains one image classifier at a time on one device");
	roff_section("SYNOPSIS");
	puts(".B sweep\\-worker \\-\\-standalone \\-\\-config\n.I FILE\n[\\fIOPTION\\fR...]\n.br\n"
	     ".B sweep\\-worker \\-\\-devices\n[\\fB\\-\\-json\\fR]\n.br\n"
	     ".B sweep\\-worker \\-\\-weights\n.I FILE\n[\\fB\\-\\-json\\fR]");
	roff_section("DESCRIPTION");
	roff_text("With --standalone it trains one configuration without a daemon and prints what happens as JSON "
		  "lines, the same "
		  "events that sweepd stores. The parameters are those of a sweep file's `defaults` (sweepfile(5), "
		  "`sweepctl "
		  "params`); what is not given has its default.");
	puts(".PP");
	roff_text("sweepd starts it with --socket and gives it one job after the other. It trains on while sweepd is "
		  "away.");
	roff_section("OPTIONS");
	roff_options(options);
	roff_section("EXIT STATUS");
	roff_entries(exits);
	roff_section("ENVIRONMENT");
	roff_entries(environment);
	roff_section("FILES");
	roff_entries(files);
	roff_section("EXAMPLES");
	roff_example("sweep-worker --standalone --config job.yaml --override lr=0.05\n"
		     "cd ~/.local/share/sweepd/jobs/5\n"
		     "sweep-worker --standalone --config config.json --dir /tmp/again\n"
		     "sweep-worker --devices\n");
	roff_see_also(pages);
}
