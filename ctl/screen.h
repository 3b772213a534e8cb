/* A terminal, or the lack of one: width, colour, and a picture that is redrawn in place. */
#pragma once

#include "ctl/columns.h"

enum color_mode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

/* What a word means; colour only ever repeats what the word says. */
enum tone { TONE_PLAIN, TONE_GOOD, TONE_BAD, TONE_WARN, TONE_DIM };

struct screen {
	int fd;
	bool terminal; /* a person sits there: fit into `columns` */
	bool color;
	bool keys;         /* after screen_enter(): a person can press some */
	int columns, rows; /* 0: no terminal, nothing is ever cut */
	int drawn;         /* lines of the picture that stands there */
};

/* mode beats NO_COLOR (non-empty), which beats CLICOLOR_FORCE; TERM=dumb has no colour. */
void screen_init(struct screen *s, int fd, enum color_mode mode);
/* After SIGWINCH: reads the size again and clears the terminal, which may have wrapped the picture's lines. */
void screen_resized(struct screen *s);
/* Escape sequences around a word, or "". */
const char *tone_on(const struct screen *s, enum tone tone);
const char *tone_off(const struct screen *s, enum tone tone);

/* A line of plain text, made harmless; on a terminal shortened to its width (".."). */
void screen_line(const struct screen *s, FILE *out, const char *text);

/* Clean text; on a terminal broken at blanks into lines that fit it, those after the first indented. */
void screen_wrap(const struct screen *s, FILE *out, const char *text, int indent);

/* Hides the cursor and, where stdin is a terminal, takes keys without echo, until screen_leave().  Abnormal ends
 * (abort) put the terminal back too. */
void screen_enter(struct screen *s);
void screen_leave(struct screen *s);
/* Puts text (whole lines) over the picture drawn before; lines are cut at the right edge. */
void screen_draw(struct screen *s, const char *text);
