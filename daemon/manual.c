/* sweepd(8): what is not in the table of options. */
#include "manual.h"

#include "common/roff.h"

static const struct roff_entry files[] = {
	{"/var/lib/sweepd/results.db",
	 "of the system's sweepd: everything it knows, an SQLite database that may be read at any time"},
	{"/var/lib/sweepd/jobs/N/",
	 "of job N: config.json, checkpoints (safetensors), log.txt, and the events its worker sent"},
	{"/run/sweepd/control.sock", "where sweepctl asks; the group sweepd may connect"},
	{"~/.local/share/sweepd/", "the same of a private sweepd; its sockets are in $XDG_RUNTIME_DIR/sweepd"},
	{0},
};

static const struct roff_entry environment[] = {
	{"SWEEPD_DIR", "everything in this directory, sockets too; --dir wins"},
	{"STATE_DIRECTORY, RUNTIME_DIRECTORY", "as systemd sets them: it is the system's sweepd then"},
	{"XDG_DATA_HOME, XDG_RUNTIME_DIR", "where a private sweepd lives"},
	{"SWEEPD_DATA", "directories with data sets, separated by colons; for its workers"},
	{"NOTIFY_SOCKET", "READY=1 and STOPPING=1 go there (Type=notify)"},
	{0},
};

static const struct roff_entry signals[] = {
	{"SIGTERM, SIGINT", "stop: running jobs write a checkpoint and are queued again; waits --drain-ms for that"},
	{"SIGKILL", "nothing that was acknowledged is lost; workers train on and are adopted at the next start"},
	{0},
};

static const struct roff_entry exits[] = {
	{"0", "stopped as asked"},
	{"1", "it could not start: another sweepd has the directory, no permission, a damaged or newer database"},
	{"2", "wrong usage"},
	{"75", "asked to restart; its workers train on and are adopted (RestartForceExitStatus)"},
	{0},
};

void manual_print(const struct argp_option *options)
{
	static const char *const pages[] = {"sweepctl(1)",  "sweep-worker(1)", "sweep-forward(8)", "sweepfile(5)",
					    "systemctl(1)", "sqlite3(1)",      NULL};

	roff_begin("sweepd", 8, "runs hyper-parameter sweeps on the devices of one machine");
	roff_section("SYNOPSIS");
	puts(".B sweepd\n[\\fIOPTION\\fR...]");
	roff_section("DESCRIPTION");
	roff_text("Keeps sweeps and their jobs in a database, starts a sweep-worker for each device, gives it one job "
		  "after the "
		  "other, and records every epoch in the moment it ends. It is the only writer of the database; an "
		  "answer to "
		  "sweepctl and an acknowledgement to a worker are given after the commit.");
	puts(".PP");
	roff_text("Where systemd starts it (sweepd.service) it serves all members of the group sweepd; a plain user's "
		  "is started "
		  "by `sweepctl daemon start`, or by the first `sweepctl submit`. One directory has one sweepd.");
	roff_section("OPTIONS");
	roff_options(options);
	roff_section("SIGNALS");
	roff_entries(signals);
	roff_section("EXIT STATUS");
	roff_entries(exits);
	roff_section("ENVIRONMENT");
	roff_entries(environment);
	roff_section("FILES");
	roff_entries(files);
	roff_section("EXAMPLES");
	roff_example("sweepd --dir /tmp/try --devices 2\n"
		     "sudo systemctl enable --now sweepd\n"
		     "sqlite3 /var/lib/sweepd/results.db 'SELECT * FROM leaderboard'\n");
	roff_see_also(pages);
}
