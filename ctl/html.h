/* Text of unknown origin in HTML (also well-formed XML), in Markdown and on a shell's command line.  All results are
 * allocated.  What is not UTF-8, and what XML forbids, becomes U+FFFD. */
#pragma once

#include "common/base.h"

/* For content and for attribute values in double quotes. */
char *html_escaped(const char *text);
void html_put(FILE *out, const char *text);
/* One cell of a Markdown table: one line, no markup of its own. */
char *markdown_escaped(const char *text);
/* As one word of a POSIX shell; left alone where it needs no quotes. */
char *shell_quoted(const char *word);
