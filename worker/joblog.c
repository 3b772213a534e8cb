/* See joblog.h. */
#include "joblog.h"

#include <time.h>

void job_log(const char *job_dir, const char *fmt, ...)
{
	char stamp[32];
	time_t now = time(NULL);
	struct tm tm;
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", localtime_r(&now, &tm));
	autofree char *path = xasprintf("%s/log.txt", job_dir);
	autofile FILE *f = fopen(path, "ae");
	if (!f)
		return;
	va_list ap;
	va_start(ap, fmt);
	fprintf(f, "%s ", stamp);
	vfprintf(f, fmt, ap);
	fputc('\n', f);
	va_end(ap);
}
