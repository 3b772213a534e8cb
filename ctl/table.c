/* Columns of text; see table.h. */
#include "ctl/table.h"
#include "ctl/format.h"

#define PATH_MIN   28	/* columns of a text that has room for the end of a path */
#define FOLD_MIN   24	/* columns that a folded column keeps */
#define TABLE_ROWS 1000 /* decide the widths; a longer table is printed bit by bit */

struct column {
	char *title;
	bool right;
	int drop;
	size_t shrink; /* to so many columns; 0: not at all */
	bool free_text;
	bool when_any; /* not where every cell is empty */
	char *fold;    /* "lr": folded into "lr=0.1"; NULL: never */
};

struct cell {
	char *text;
	enum tone tone;
};

struct layout {
	size_t *widths; /* NULL: nothing is printed yet */
	bool *hidden;
	size_t gap;
	bool folded; /* the columns that may are in the place of their first */
};

struct table {
	struct column *columns;
	struct cell *cells;
	size_t n_columns, n_cells;
	bool rule;
	char *fold_title, *first_cut;
	struct layout layout;
};

struct table *table_new(void)
{
	return xcalloc(1, sizeof(struct table));
}

static void drop_cells(struct table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i].text);
	free(t->cells);
	t->cells = NULL;
	t->n_cells = 0;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_columns; i++) {
		free(t->columns[i].title);
		free(t->columns[i].fold);
	}
	free(t->fold_title);
	free(t->first_cut);
	drop_cells(t);
	free(t->columns);
	free(t->layout.widths);
	free(t->layout.hidden);
	free(t);
}

void table_column(struct table *t, const char *title, bool right, int drop)
{
	t->columns = xrealloc_array(t->columns, t->n_columns + 1, sizeof(t->columns[0]));
	t->columns[t->n_columns++] = (struct column){.title = text_clean(title), .right = right, .drop = drop};
}

void table_shrink(struct table *t, size_t min)
{
	t->columns[t->n_columns - 1].shrink = min;
}

void table_shrink_text(struct table *t, size_t min)
{
	table_shrink(t, min);
	t->columns[t->n_columns - 1].free_text = true;
}

void table_when_any(struct table *t)
{
	t->columns[t->n_columns - 1].when_any = true;
}

void table_fold(struct table *t, const char *title, const char *name)
{
	free(t->fold_title);
	t->fold_title = xstrdup(title);
	t->columns[t->n_columns - 1].fold = text_clean(name);
}

const char *table_first_cut(const struct table *t)
{
	return t->first_cut;
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

static size_t width_of(const char *text)
{
	return text_columns(text, strlen(text));
}

static size_t total_width(const struct table *t, const struct layout *l)
{
	size_t total = 0;

	for (size_t i = 0; i < t->n_columns; i++)
		if (!l->hidden[i])
			total += l->widths[i] + (total ? l->gap : 0);
	return total;
}

static size_t least_of(const struct table *t, const struct layout *l, size_t i)
{
	return l->folded && t->columns[i].fold ? FOLD_MIN : t->columns[i].shrink;
}

static bool shrinks(const struct table *t, const struct layout *l, size_t i, bool free_text)
{
	const struct column *c = &t->columns[i];

	return c->shrink && c->free_text == free_text && !l->hidden[i] && l->widths[i] > least_of(t, l, i);
}

/* Takes what is too much from the widest columns of that kind. */
static void shrink(const struct table *t, struct layout *l, size_t room, bool free_text)
{
	size_t total;

	while ((total = total_width(t, l)) > room) {
		size_t widest = t->n_columns, second = 0;
		for (size_t i = 0; i < t->n_columns; i++) {
			if (shrinks(t, l, i, free_text) && (widest == t->n_columns || l->widths[i] > l->widths[widest]))
				widest = i;
		}
		if (widest == t->n_columns)
			return;
		for (size_t i = 0; i < t->n_columns; i++)
			if (i != widest && shrinks(t, l, i, free_text))
				second = MAX(second, l->widths[i]);
		size_t least = MAX(least_of(t, l, widest), MIN(second, l->widths[widest] - 1));
		l->widths[widest] -= MIN(total - room, l->widths[widest] - least);
	}
}

/* Hides droppable columns, those of the least weight first. */
static void hide(const struct table *t, struct layout *l, size_t room, int least)
{
	while (total_width(t, l) > room) {
		size_t worst = t->n_columns;
		for (size_t i = 0; i < t->n_columns; i++)
			if (!l->hidden[i] && t->columns[i].drop >= least &&
			    (worst == t->n_columns || t->columns[i].drop > t->columns[worst].drop))
				worst = i;
		if (worst == t->n_columns)
			return;
		l->hidden[worst] = true;
	}
}

/* "model=resnet18 lr=0.1": a row's cells that may be folded. */
static char *fold_text(const struct table *t, const struct cell *cells)
{
	char *text = xstrdup("");

	for (size_t i = 0; i < t->n_columns; i++)
		if (t->columns[i].fold)
			text_append(&text, "%s%s=%s", *text ? " " : "", t->columns[i].fold, cells[i].text);
	return text;
}

static bool is_empty(const struct table *t, size_t column)
{
	for (size_t i = column; i < t->n_cells; i += t->n_columns)
		if (*t->cells[i].text)
			return false;
	return true;
}

/* Columns grow to the cells there are. */
static void widen(struct table *t)
{
	size_t *widths = t->layout.widths;

	for (size_t i = 0; i < t->n_cells; i++)
		widths[i % t->n_columns] = MAX(widths[i % t->n_columns], width_of(t->cells[i].text));
}

/* As the rows so far need it. */
static void measure(struct table *t, struct layout *l)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		l->widths[i] = width_of(t->columns[i].title);
		l->hidden[i] = t->columns[i].when_any && is_empty(t, i);
	}
	widen(t);
}

/* One column for all that may be folded. */
static void fold(struct table *t, struct layout *l)
{
	bool first = true;

	measure(t, l);
	l->folded = true;
	for (size_t i = 0; i < t->n_columns; i++) {
		if (!t->columns[i].fold)
			continue;
		l->hidden[i] = !first;
		l->widths[i] = first ? width_of(t->fold_title) : 0;
		for (size_t k = 0; first && k + t->n_columns <= t->n_cells; k += t->n_columns) {
			autofree char *text = fold_text(t, t->cells + k);
			l->widths[i] = MAX(l->widths[i], width_of(text));
		}
		first = false;
	}
}

static void fit(struct table *t, struct layout *l, size_t room)
{
	if (total_width(t, l) > room)
		l->gap = 1;
	shrink(t, l, room, true);
	hide(t, l, room, 3);
	shrink(t, l, room, false);
	if (t->fold_title && total_width(t, l) > room) {
		fold(t, l);
		hide(t, l, room, 3);
		shrink(t, l, room, false);
		shrink(t, l, room, true);
	}
	hide(t, l, room, 1);
}

/* Before the first row. */
static void lay_out(struct table *t, const struct screen *s)
{
	t->layout = (struct layout){xcalloc(t->n_columns + 1, sizeof(size_t)), xcalloc(t->n_columns + 1, sizeof(bool)), 2, false};
	measure(t, &t->layout);
	if (s->columns)
		fit(t, &t->layout, (size_t)s->columns);
}

struct line { /* one row on its way out */
	const struct screen *screen;
	FILE *out;
	size_t at;     /* columns written */
	size_t blanks; /* owed: written before the next text, so that no line ends in blanks */
};

/* Of a text that takes `mine` columns what fits into the column and the screen; ".." says that there is more. */
static const char *cut(const struct line *l, const char *text, size_t mine, size_t width, size_t start,
		       size_t *ret_bytes)
{
	size_t room = l->screen->columns ? (size_t)MAX(l->screen->columns - (int)start, 0) : SIZE_MAX;

	room = MIN(room, MAX(width, (size_t)1));
	*ret_bytes = mine <= room ? strlen(text) : room > 2 ? text_fit(text, room - 2) : 0;
	return mine <= room || room < 2 ? "" : "..";
}

static void put(struct line *l, const char *text, size_t width, bool right, enum tone tone)
{
	size_t mine = width_of(text), pad = width > mine ? width - mine : 0, bytes;

	l->blanks += right ? pad : 0;
	size_t start = l->at + l->blanks;
	const char *more = cut(l, text, mine, width, start, &bytes);
	if (bytes || *more) {
		fprintf(l->out, "%*s%s%.*s%s%s", (int)l->blanks, "", tone_on(l->screen, tone), (int)bytes, text, more,
			tone_off(l->screen, tone));
		l->at = start + text_columns(text, bytes) + strlen(more);
		l->blanks = 0;
		pad = start + width > l->at ? start + width - l->at : 0;
	}
	l->blanks += right ? 0 : pad;
}

/* A text as it is, or where it is longer than its column with its paths shortened: what is wrong stays in sight. */
static char *cell_text(struct table *t, const struct cell *cells, size_t i)
{
	const struct column *c = &t->columns[i];

	if (c->fold && t->layout.folded)
		return cells ? fold_text(t, cells) : xstrdup(t->fold_title);
	if (!cells)
		return xstrdup(c->title);
	if (!c->free_text || width_of(cells[i].text) <= t->layout.widths[i])
		return xstrdup(cells[i].text);
	if (!t->first_cut)
		t->first_cut = xstrdup(cells[0].text);
	return text_short_paths(cells[i].text, t->layout.widths[i] < PATH_MIN);
}

static void print_row(struct table *t, struct line *l, const struct cell *cells)
{
	const struct layout *layout = &t->layout;
	bool first = true;

	l->at = l->blanks = 0;
	for (size_t i = 0; i < t->n_columns; i++) {
		if (layout->hidden[i])
			continue;
		autofree char *text = cell_text(t, cells, i);
		l->blanks += first ? 0 : layout->gap;
		first = false;
		put(l, text, layout->widths[i], t->columns[i].right && !(layout->folded && t->columns[i].fold),
		    cells ? cells[i].tone : TONE_PLAIN);
	}
	fputc('\n', l->out);
}

/* Dashes under each title. */
static void print_rule(const struct table *t, const struct layout *layout, struct line *l)
{
	size_t edge = l->screen->columns ? (size_t)l->screen->columns : SIZE_MAX;
	bool first = true;

	l->at = l->blanks = 0;
	for (size_t i = 0; i < t->n_columns; i++) {
		if (layout->hidden[i])
			continue;
		autofree char *dashes = xcalloc(layout->widths[i] + 1, 1);
		l->blanks += first ? 0 : layout->gap;
		first = false;
		size_t start = MIN(l->at + l->blanks, edge);
		memset(dashes, '-', MIN(layout->widths[i], edge - start));
		put(l, dashes, layout->widths[i], false, TONE_PLAIN);
	}
	fputc('\n', l->out);
}

void table_print(struct table *t, const struct screen *s, FILE *out)
{
	struct line line = {.screen = s, .out = out};
	bool first = !t->layout.widths;

	if (first)
		lay_out(t, s);
	else if (!s->columns)
		widen(t);
	if (first)
		print_row(t, &line, NULL);
	if (first && t->rule)
		print_rule(t, &t->layout, &line);
	for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
		print_row(t, &line, t->cells + i);
	drop_cells(t);
}

bool table_is_due(const struct table *t)
{
	return t->n_cells >= TABLE_ROWS * t->n_columns;
}
