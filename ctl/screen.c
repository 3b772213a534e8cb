/* A terminal, or the lack of one; see screen.h. */
#include "ctl/screen.h"
#include "common/fs.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved_termios;
static volatile sig_atomic_t entered, took_keys;

static bool env_set(const char *name)
{
	const char *value = getenv(name);

	return value && *value;
}

static bool color_wanted(bool terminal, enum color_mode mode)
{
	const char *term = getenv("TERM");

	if (mode != COLOR_AUTO)
		return mode == COLOR_ALWAYS;
	if (env_set("NO_COLOR"))
		return false;
	if (env_set("CLICOLOR_FORCE") && !str_eq(getenv("CLICOLOR_FORCE"), "0"))
		return true;
	return terminal && term && *term && !str_eq(term, "dumb");
}

static void measure(struct screen *s)
{
	struct winsize size = {0};
	const char *columns = getenv("COLUMNS");

	if (!s->terminal)
		return;
	ioctl(s->fd, TIOCGWINSZ, &size);
	s->columns = size.ws_col ? size.ws_col : columns && atoi(columns) > 0 ? atoi(columns) : 80;
	s->rows = size.ws_row ? size.ws_row : 24;
}

void screen_init(struct screen *s, int fd, enum color_mode mode)
{
	*s = (struct screen){.fd = fd, .terminal = isatty(fd)};
	s->color = color_wanted(s->terminal, mode);
	measure(s);
}

void screen_resized(struct screen *s)
{
	measure(s);
	s->drawn = 0;
	fs_write_all(s->fd, "\x1b[H\x1b[2J", 7);
}

const char *tone_on(const struct screen *s, enum tone tone)
{
	static const char *const codes[] = {
		[TONE_PLAIN] = "",        [TONE_GOOD] = "\x1b[32m", [TONE_BAD] = "\x1b[31m",
		[TONE_WARN] = "\x1b[33m", [TONE_DIM] = "\x1b[2m",
	};
	return s->color ? codes[tone] : "";
}

const char *tone_off(const struct screen *s, enum tone tone)
{
	return s->color && tone != TONE_PLAIN ? "\x1b[0m" : "";
}

void screen_line(const struct screen *s, FILE *out, const char *text)
{
	autofree char *clean = text_clean(text);
	size_t size = strlen(clean), room = (size_t)s->columns;

	if (s->columns && text_columns(clean, size) > room)
		fprintf(out, "%.*s..\n", (int)text_fit(clean, room > 2 ? room - 2 : room), clean);
	else
		fprintf(out, "%s\n", clean);
}

/* Bytes of the line that begins at text, at most `room` columns of it; *ret_next: where the next begins. */
static size_t line_of(const char *text, size_t room, size_t *ret_next)
{
	size_t size = strlen(text), at = 0, columns = 0, space = 0, width;

	while (at < size && text[at] != '\n') {
		size_t escape = escape_size(text + at, size - at);
		if (escape) {
			at += escape;
			continue;
		}
		size_t n = text_step(text + at, size - at, &width);
		width = text[at] == '\t' ? 8 - columns % 8 : width;
		if (columns + width > room && at) {
			*ret_next = text[at] == ' ' ? at + 1 : space ? space + 1 : at;
			return text[at] == ' ' ? at : space ? space : at;
		}
		space = text[at] == ' ' && columns ? at : space;
		columns += width;
		at += n;
	}
	*ret_next = at + (text[at] == '\n');
	return at;
}

void screen_wrap(const struct screen *s, FILE *out, const char *text, int indent)
{
	size_t room = s->columns ? (size_t)MAX(s->columns, 1) : SIZE_MAX, next;
	int in = 0;

	indent = s->columns > 2 * indent ? indent : 0;
	do {
		size_t bytes = line_of(text, room - (size_t)in, &next);
		fprintf(out, "%*s%.*s\n", in, "", (int)bytes, text);
		in = next && text[next - 1] == '\n' ? 0 : indent;
		text += next;
	} while (*text);
}

/* Only calls that are safe in a signal handler. */
static void put_back(void)
{
	static const char show_cursor[] = "\x1b[?25h\x1b[0m";

	if (!entered)
		return;
	entered = 0;
	if (write(STDOUT_FILENO, show_cursor, sizeof(show_cursor) - 1) < 0)
		_exit(1);
	if (took_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved_termios);
}

static void on_abort(int signal_number)
{
	put_back();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

void screen_enter(struct screen *s)
{
	struct termios keys;

	took_keys = tcgetattr(STDIN_FILENO, &saved_termios) == 0;
	if (took_keys) {
		keys = saved_termios;
		keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		keys.c_cc[VMIN] = 1;
		keys.c_cc[VTIME] = 0;
		tcsetattr(STDIN_FILENO, TCSANOW, &keys);
	}
	s->keys = took_keys;
	entered = 1;
	signal(SIGABRT, on_abort);
	signal(SIGSEGV, on_abort);
	fs_write_all(s->fd, "\x1b[?25l", 6);
}

void screen_leave(struct screen *s)
{
	put_back();
	signal(SIGABRT, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
}

/* Writes one line, cut at the right edge; escape sequences behind the cut are still written (they end a colour). */
static void draw_line(const struct screen *s, FILE *out, const char *line, size_t size)
{
	size_t column = 0, width;

	for (size_t i = 0; i < size;) {
		size_t escape = escape_size(line + i, size - i);
		if (escape) {
			fwrite(line + i, 1, escape, out);
			i += escape;
			continue;
		}
		size_t n = text_step(line + i, size - i, &width);
		column += width;
		if (column <= (size_t)s->columns)
			fwrite(line + i, 1, n, out);
		i += n;
	}
	fputs("\x1b[K\r\n", out);
}

void screen_draw(struct screen *s, const char *text)
{
	autofree char *bytes = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&bytes, &size);
	int up = MIN(s->drawn, s->rows - 1);

	INVARIANT(out, "no memory for a picture of the terminal");
	if (up > 0)
		fprintf(out, "\x1b[%dA", up);
	fputc('\r', out);
	s->drawn = 0;
	while (*text) {
		size_t length = strcspn(text, "\n");
		draw_line(s, out, text, length);
		s->drawn++;
		text += length + (text[length] == '\n');
	}
	fputs("\x1b[J", out);
	fclose(out);
	fs_write_all(s->fd, bytes, size);
}
