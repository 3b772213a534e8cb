/* Columns of text; see table.h. */
#include "ctl/table.h"

struct column {
	char *title;
	bool right;
	int drop;
};

struct cell {
	char *text;
	enum tone tone;
};

struct table {
	struct column *columns;
	struct cell *cells;
	size_t n_columns, n_cells;
	bool rule;
};

struct table *table_new(void)
{
	return xcalloc(1, sizeof(struct table));
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_columns; i++)
		free(t->columns[i].title);
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i].text);
	free(t->columns);
	free(t->cells);
	free(t);
}

void table_column(struct table *t, const char *title, bool right, int drop)
{
	t->columns = xrealloc_array(t->columns, t->n_columns + 1, sizeof(t->columns[0]));
	t->columns[t->n_columns++] = (struct column){.title = text_clean(title), .right = right, .drop = drop};
}

void table_cell_tone(struct table *t, const char *text, enum tone tone)
{
	/* Grows by doubling: a table may have a row for each of many thousand jobs. */
	if ((t->n_cells & (t->n_cells + 1)) == 0)
		t->cells = xrealloc_array(t->cells, 2 * t->n_cells + 1, sizeof(t->cells[0]));
	t->cells[t->n_cells++] = (struct cell){.text = text_clean(text ? text : ""), .tone = tone};
}

void table_cell(struct table *t, const char *text)
{
	table_cell_tone(t, text, TONE_PLAIN);
}

void table_rule(struct table *t)
{
	t->rule = true;
}

struct layout { /* of one print */
	size_t *widths;
	bool *hidden;
	size_t gap;
};

static size_t width_of(const char *text)
{
	return text_columns(text, strlen(text));
}

static size_t *column_widths(const struct table *t)
{
	size_t *widths = xcalloc(t->n_columns + 1, sizeof(*widths));

	for (size_t i = 0; i < t->n_columns; i++)
		widths[i] = width_of(t->columns[i].title);
	for (size_t i = 0; i < t->n_cells; i++)
		widths[i % t->n_columns] = MAX(widths[i % t->n_columns], width_of(t->cells[i].text));
	return widths;
}

static size_t total_width(const struct table *t, const struct layout *l)
{
	size_t total = 0;

	for (size_t i = 0; i < t->n_columns; i++)
		if (!l->hidden[i])
			total += l->widths[i] + (total ? l->gap : 0);
	return total;
}

/* Moves together, then hides columns, until the rest fits. */
static void fit(const struct table *t, struct layout *l, size_t room)
{
	while (total_width(t, l) > room) {
		size_t worst = t->n_columns;
		if (l->gap > 1) {
			l->gap = 1;
			continue;
		}
		for (size_t i = 0; i < t->n_columns; i++)
			if (!l->hidden[i] && t->columns[i].drop &&
			    (worst == t->n_columns || t->columns[i].drop > t->columns[worst].drop))
				worst = i;
		if (worst == t->n_columns)
			return;
		l->hidden[worst] = true;
	}
}

/* How many bytes of text fit into `room` columns. */
static size_t bytes_that_fit(const char *text, size_t room)
{
	size_t bytes = strlen(text);

	while (text_columns(text, bytes) > room)
		bytes--;
	return bytes;
}

struct line { /* one row on its way out */
	const struct screen *screen;
	FILE *out;
	size_t at;     /* columns written */
	size_t blanks; /* owed: written before the next text, so that no line ends in blanks */
};

static void put(struct line *l, const char *text, size_t width, bool right, enum tone tone)
{
	size_t mine = width_of(text), pad = width > mine ? width - mine : 0, bytes = strlen(text);

	l->blanks += right ? pad : 0;
	size_t start = l->at + l->blanks;
	if (l->screen->columns && start + mine > (size_t)l->screen->columns) {
		size_t room = start < (size_t)l->screen->columns ? (size_t)l->screen->columns - start : 0;
		bytes = bytes_that_fit(text, room);
	}
	if (bytes) {
		fprintf(l->out, "%*s%s%.*s%s", (int)l->blanks, "", tone_on(l->screen, tone), (int)bytes, text,
			tone_off(l->screen, tone));
		l->at = start + text_columns(text, bytes);
		l->blanks = 0;
	}
	l->blanks += right ? 0 : pad;
}

static void print_row(const struct table *t, const struct layout *layout, struct line *l, const struct cell *cells)
{
	bool first = true;

	l->at = l->blanks = 0;
	for (size_t i = 0; i < t->n_columns; i++) {
		if (layout->hidden[i])
			continue;
		l->blanks += first ? 0 : layout->gap;
		first = false;
		put(l, cells ? cells[i].text : t->columns[i].title, layout->widths[i], t->columns[i].right,
		    cells ? cells[i].tone : TONE_PLAIN);
	}
	fputc('\n', l->out);
}

/* Dashes under each title. */
static void print_rule(const struct table *t, const struct layout *layout, struct line *l)
{
	bool first = true;

	l->at = l->blanks = 0;
	for (size_t i = 0; i < t->n_columns; i++) {
		if (layout->hidden[i])
			continue;
		autofree char *dashes = xcalloc(layout->widths[i] + 1, 1);
		memset(dashes, '-', layout->widths[i]);
		l->blanks += first ? 0 : layout->gap;
		first = false;
		put(l, dashes, layout->widths[i], false, TONE_PLAIN);
	}
	fputc('\n', l->out);
}

void table_print(const struct table *t, const struct screen *s, FILE *out)
{
	autofree size_t *widths = column_widths(t);
	autofree bool *hidden = xcalloc(t->n_columns + 1, sizeof(bool));
	struct layout layout = {widths, hidden, 2};
	struct line line = {.screen = s, .out = out};

	if (s->columns)
		fit(t, &layout, (size_t)s->columns);
	print_row(t, &layout, &line, NULL);
	if (t->rule)
		print_rule(t, &layout, &line);
	for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
		print_row(t, &layout, &line, t->cells + i);
}
