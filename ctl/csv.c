/* Comma-separated values; see csv.h. */
#include "ctl/csv.h"
#include "ctl/columns.h"

#include <math.h>

void csv_field(const char *raw, bool first)
{
	autofree char *clean = text_clean(raw);
	const char *text = clean;

	if (!first)
		putchar(',');
	if (!text[strcspn(text, ",\"\r\n")]) {
		fputs(text, stdout);
		return;
	}
	putchar('"');
	for (; *text; text++)
		printf(*text == '"' ? "\"\"" : "%c", *text);
	putchar('"');
}

void csv_number(double value)
{
	printf(isnan(value) ? "," : ",%.6g", value);
}
