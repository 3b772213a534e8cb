/* A terminal, or the lack of one: width, colour, and a picture that is redrawn in place. */
#pragma once

#include "common/base.h"

enum color_mode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

/* What a word means; colour only ever repeats what the word says. */
enum tone { TONE_PLAIN, TONE_GOOD, TONE_BAD, TONE_WARN, TONE_DIM };

struct screen {
	int fd;
	bool terminal;	   /* a person sits there: fit into `columns` */
	bool color;
	int columns, rows; /* 0: no terminal, nothing is ever cut */
	size_t *drawn;	   /* visible length of each line of the last picture */
	size_t n_drawn;
};

/* mode beats NO_COLOR (non-empty), which beats CLICOLOR_FORCE; TERM=dumb has no colour. */
void screen_init(struct screen *s, int fd, enum color_mode mode);
void screen_fini(struct screen *s);
/* Reads the size again, after SIGWINCH. */
void screen_measure(struct screen *s);
/* Escape sequences around a word, or "". */
const char *tone_on(const struct screen *s, enum tone tone);
const char *tone_off(const struct screen *s, enum tone tone);

/* Takes keys without echo and hides the cursor, until screen_leave().  A terminal only.  Abnormal ends (abort) put the
 * terminal back too. */
int screen_enter(struct screen *s, struct err *err);
void screen_leave(struct screen *s);
/* Puts text (whole lines) over the picture drawn before; lines are cut at the right edge. */
void screen_draw(struct screen *s, const char *text);
/* Keeps the picture where it is: what comes next is written below it. */
void screen_keep(struct screen *s);

/* Columns that text takes: bytes that begin a UTF-8 character, escape sequences not counted. */
size_t text_columns(const char *text, size_t size);
/* Control characters become '?', so that no stored text can drive the terminal.  Allocated. */
char *text_clean(const char *text);
