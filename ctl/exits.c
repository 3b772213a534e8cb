/* sweepctl's exit codes; see exits.h. */
#include "ctl/exits.h"
#include "ctl/format.h"

const struct exit_row exit_rows[] = {
	{EXIT_OK, "done as asked", "done as asked (an empty list too)", true},
	{EXIT_BAD_OUTCOME, "the outcome is bad",
	 "the outcome is bad: wait, watch --exit-status: a job failed or was cancelled; doctor: training cannot run "
	 "here; "
	 "daemon start: it did not start; dataset, weights: it could not be brought, or is not the known one.  Every verb: the answer cannot be written (a full disk)",
	 false},
	{EXIT_USAGE, "wrong usage",
	 "wrong usage: an unknown verb or option, a value or a number of targets that cannot be", true},
	{EXIT_NO_DAEMON, "no sweepd", "sweepd is not running, or silent for 5 seconds", false},
	{EXIT_NO_SUCH, "no such job or sweep",
	 "no such job, sweep, parameter, data set or weights; what exists of the targets was done or shown all the same", false},
	{EXIT_REFUSED, "sweep file refused",
	 "the sweep file or a value in it is refused, or cannot be read; nothing was stored", false},
	{EXIT_STATE, "not in this state", "not possible in this state: done already, nothing to resume, no log yet",
	 false},
	{EXIT_PERMISSION, "no permission or no store",
	 "no permission (not your sweep, not your daemon); or the store is unreadable, damaged or too new", false},
	{EXIT_TIMEOUT, "time is up", "--timeout ran out, as with timeout(1); the jobs go on", false},
	{EXIT_INTERRUPTED, "interrupted", "Ctrl-C; the jobs go on, a download goes on at the next fetch", false},
};
const size_t n_exit_rows = ARRAY_LEN(exit_rows);

const int exits_of_reading[] = {EXIT_NO_SUCH, EXIT_PERMISSION, 0};
const int exits_of_changing[] = {EXIT_NO_DAEMON, EXIT_NO_SUCH, EXIT_STATE, EXIT_PERMISSION, 0};

bool exit_is_of(const struct verb *verb, const struct exit_row *row)
{
	if (row->common)
		return true;
	for (const int *code = verb->exits; code && *code; code++)
		if (*code == row->code)
			return true;
	return false;
}

char *exits_brief(const struct verb *verb)
{
	char *text = NULL;

	for (size_t i = 0; i < n_exit_rows; i++)
		if (exit_is_of(verb, &exit_rows[i]))
			text_append(&text, "%s%d %s", text ? ", " : "", exit_rows[i].code, exit_rows[i].brief);
	return text;
}
