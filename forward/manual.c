/* sweep-forward(8): what is not in the tables of verbs and options. */
#include "manual.h"

static const struct roff_entry files[] = {
	{"/var/lib/sweepd/results.db, jobs/N/log.txt", "of the system's sweepd: what is sent; read, never written"},
	{"/var/lib/sweepd/forward.lock", "held while runs are sent: one sweep-forward for each store"},
	{"/run/sweepd/control.sock", "where sweepd tells of committed rows and takes what W&B has acknowledged"},
	{"/etc/credstore/wandb_api_key", "the API key of sweep-forward.service, readable by root alone"},
	{"~/.local/share/sweepd/forward.log", "what the one says that a private sweepd has started"},
	{0},
};

static const struct roff_entry environment[] = {
	{"WANDB_API_KEY", "the key; `sweepctl wandb status` says where else it is looked for, and where it was found"},
	{"WANDB_BASE_URL", "the server, for sweeps whose file names none"},
	{"SSL_CERT_FILE, REQUESTS_CA_BUNDLE", "another list of authorities, for a server of one's own"},
	{"https_proxy, http_proxy, no_proxy", "proxies"},
	{"SWEEPD_DIR", "the sweepd whose runs are sent; --dir wins"},
	{0},
};

static const struct roff_entry exits[] = {
	{"0", "stopped as asked"},
	{"1", "it could not start"},
	{"2", "wrong usage"},
	{"6", "another sweep-forward sends the runs of this store"},
	{0},
};

void manual_print(const struct roff_entry *verbs, const struct argp_option *options)
{
	static const char *const pages[] = {"sweepctl(1)", "sweepd(8)", "sweepfile(5)", "systemctl(1)", NULL};

	roff_begin("sweep-forward", 8, "sends runs of sweepd to Weights & Biases, fetches data sets");
	roff_section("SYNOPSIS");
	puts(".B sweep\\-forward\n[\\fIVERB\\fR]\n[\\fIOPTION\\fR...]");
	roff_section("DESCRIPTION");
	roff_text("Everything of sweepd that uses a network. It follows the rows that sweepd commits and sends those "
		  "of jobs "
		  "with use_wandb to Weights & Biases, in their order; what is acknowledged there is stored by sweepd. "
		  "Ended "
		  "at any moment, it goes on from there: no row is lost, none is sent twice as another. Training never "
		  "waits "
		  "for it.");
	puts(".PP");
	roff_text(
		"A private sweepd starts it when a sweep wants it; beside the system's it is a unit of its own "
		"(sweep-forward.service), since sweepd has no network there. The other verbs are called by sweepctl.");
	roff_section("VERBS");
	roff_entries(verbs);
	roff_section("OPTIONS OF FOLLOW");
	roff_options(options);
	roff_section("EXIT STATUS");
	roff_entries(exits);
	roff_section("ENVIRONMENT");
	roff_entries(environment);
	roff_section("FILES");
	roff_entries(files);
	roff_section("EXAMPLES");
	roff_example("sudo install -m 600 /dev/stdin /etc/credstore/wandb_api_key\n"
		     "sudo systemctl enable --now sweep-forward\n"
		     "sweepctl wandb status\n");
	roff_see_also(pages);
}
