/* See filestream.h. */
#include "filestream.h"

#include "common/json.h"

void stream_add(struct stream_chunk *chunk, struct stream_file *file, char *line)
{
	file->lines = xrealloc_array(file->lines, file->n + 1, sizeof(*file->lines));
	file->lines[file->n++] = line;
	chunk->bytes += strlen(line);
}

void stream_set_summary(struct stream_chunk *chunk, char *summary)
{
	free(chunk->summary);
	chunk->summary = summary;
}

void stream_add_uploaded(struct stream_chunk *chunk, const char *name)
{
	chunk->uploaded = xrealloc_array(chunk->uploaded, chunk->n_uploaded + 1, sizeof(*chunk->uploaded));
	chunk->uploaded[chunk->n_uploaded++] = xstrdup(name);
}

bool stream_is_empty(const struct stream_chunk *chunk)
{
	return !chunk->history.n && !chunk->events.n && !chunk->output.n && !chunk->summary && !chunk->n_uploaded &&
	       !chunk->preempting && !chunk->complete;
}

static void print_string(FILE *f, const char *text)
{
	autojson json_t *string = json_string(text);
	autofree char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
	fputs(quoted ? quoted : "\"?\"", f);
}

static void print_list(FILE *f, char *const *texts, size_t n)
{
	fputc('[', f);
	for (size_t i = 0; i < n; i++) {
		if (i)
			fputc(',', f);
		print_string(f, texts[i]);
	}
	fputc(']', f);
}

static void print_file(FILE *f, const char *name, int64_t offset, char *const *lines, size_t n, bool *first)
{
	if (!n)
		return;
	fprintf(f, "%s\"%s\":{\"offset\":%lld,\"content\":", *first ? "" : ",", name, (long long)offset);
	print_list(f, lines, n);
	fputc('}', f);
	*first = false;
}

static void print_files(FILE *f, const struct stream_chunk *chunk)
{
	bool first = true;
	const struct stream_file *h = &chunk->history, *e = &chunk->events, *o = &chunk->output;
	fputs("\"files\":{", f);
	print_file(f, "wandb-history.jsonl", h->offset, h->lines, h->n, &first);
	print_file(f, "wandb-events.jsonl", e->offset, e->lines, e->n, &first);
	print_file(f, "wandb-summary.json", 0, &chunk->summary, chunk->summary != NULL, &first);
	print_file(f, "output.log", o->offset, o->lines, o->n, &first);
	fputc('}', f);
}

char *stream_body(const struct stream_chunk *chunk)
{
	char *text = NULL;
	size_t size;
	autofile FILE *f = open_memstream(&text, &size);
	INVARIANT(f, "open_memstream");
	const char *comma = "";
	fputc('{', f);
	if (chunk->history.n || chunk->events.n || chunk->output.n || chunk->summary) {
		print_files(f, chunk);
		comma = ",";
	}
	if (chunk->n_uploaded) {
		fprintf(f, "%s\"uploaded\":", comma);
		print_list(f, chunk->uploaded, chunk->n_uploaded);
		comma = ",";
	}
	if (chunk->preempting) {
		fprintf(f, "%s\"preempting\":true", comma);
		comma = ",";
	}
	if (chunk->complete)
		fprintf(f, "%s\"complete\":true,\"exitcode\":%d", comma, chunk->exit_code);
	fputc('}', f);
	INVARIANT(fclose(steal_ptr(f)) == 0, "out of memory");
	return text;
}

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

void stream_fini(struct stream_chunk *chunk)
{
	free_texts(chunk->history.lines, chunk->history.n);
	free_texts(chunk->events.lines, chunk->events.n);
	free_texts(chunk->output.lines, chunk->output.n);
	free_texts(chunk->uploaded, chunk->n_uploaded);
	free(chunk->summary);
	*chunk = (struct stream_chunk){0};
}

/* RFC 3986: what is not unreserved. */
static void print_encoded(FILE *f, const char *text)
{
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;
		bool plain =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
		fprintf(f, plain ? "%c" : "%%%02X", c);
	}
}

char *stream_url(const char *base_url, const char *entity, const char *project, const char *run)
{
	char *text = NULL;
	size_t size;
	autofile FILE *f = open_memstream(&text, &size);
	INVARIANT(f, "open_memstream");
	fprintf(f, "%s/files/", base_url);
	print_encoded(f, entity);
	fputc('/', f);
	print_encoded(f, project);
	fputc('/', f);
	print_encoded(f, run);
	fputs("/file_stream", f);
	INVARIANT(fclose(steal_ptr(f)) == 0, "out of memory");
	return text;
}

bool stream_says_stopped(const char *answer, size_t size)
{
	autojson json_t *o = json_parse(answer, size, NULL);
	return json_is_object(o) && json_bool_or(o, "stopped", false);
}
