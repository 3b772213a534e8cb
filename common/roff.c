/* See roff.h. */
#include "roff.h"

#include "base.h"

void roff_begin(const char *page, int section, const char *line)
{
	static const char *const titles[] = {
		[1] = "User Commands", [5] = "File Formats", [8] = "System Administration"};
	autofree char *upper = xstrdup(page);
	for (char *c = upper; *c; c++)
		*c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
	fputs(".TH \"", stdout);
	roff_inline(upper);
	printf("\" %d \"\" \"sweepd %s\" \"%s\"\n.SH NAME\n", section, SWEEPD_VERSION, titles[section]);
	roff_inline(page);
	fputs(" \\- ", stdout);
	roff_inline(line);
	putchar('\n');
}

void roff_section(const char *title)
{
	printf(".SH ");
	roff_inline(title);
	putchar('\n');
}

void roff_inline(const char *text)
{
	bool line_start = true;
	for (; *text; text++) {
		if (line_start && (*text == '.' || *text == '\''))
			fputs("\\&", stdout);
		line_start = *text == '\n';
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else if (*text == '"')
			fputs("\\(dq", stdout);
		else if (*text == '~')
			fputs("\\(ti", stdout);
		else if (*text == '^')
			fputs("\\(ha", stdout);
		else if (*text == '`')
			fputs("\\(ga", stdout);
		else if (*text == '\'')
			fputs("\\(aq", stdout);
		else if (line_start && text[1] == '\n')
			fputs("\n.PP", stdout);
		else
			putchar(*text);
	}
}

void roff_text(const char *text)
{
	roff_inline(text);
	putchar('\n');
}

void roff_example(const char *text)
{
	fputs(".in +4n\n.nf\n", stdout);
	roff_inline(text);
	fputs(text[0] && text[strlen(text) - 1] == '\n' ? "" : "\n", stdout);
	fputs(".fi\n.in\n", stdout);
}

void roff_entry(const char *name, const char *text)
{
	fputs(".TP\n.B ", stdout);
	roff_text(name);
	roff_text(text);
}

void roff_entries(const struct roff_entry *entries)
{
	for (; entries->name; entries++)
		roff_entry(entries->name, entries->text);
}

void roff_options(const struct argp_option *o)
{
	for (; o && (o->name || o->key || o->doc); o++) {
		if (o->flags & OPTION_HIDDEN)
			continue;
		if (!o->name) {
			fputs(".SS ", stdout);
			roff_text(o->doc);
			continue;
		}
		fputs(".TP\n", stdout);
		if (o->key > 32 && o->key < 127)
			printf("\\fB\\-%c\\fR, ", o->key);
		fputs("\\fB\\-\\-", stdout);
		roff_inline(o->name);
		fputs("\\fR", stdout);
		if (o->arg) {
			fputs("=\\fI", stdout);
			roff_inline(o->arg);
			fputs("\\fR", stdout);
		}
		putchar('\n');
		roff_text(o->doc);
	}
}

void roff_see_also(const char *const *pages)
{
	roff_section("SEE ALSO");
	for (; *pages; pages++) {
		size_t size = strcspn(*pages, "(");
		autofree char *name = xasprintf("%.*s", (int)size, *pages);
		fputs(".BR ", stdout);
		roff_inline(name);
		printf(" %s%s\n", *pages + size, pages[1] ? "," : "");
	}
}
