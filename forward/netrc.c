/* See netrc.h. */
#include "netrc.h"

#include <ctype.h>

struct scan {
	const char *at, *start; /* start: of the word last read */
	char word[1024];
};

static void skip_line(struct scan *s)
{
	s->at += strcspn(s->at, "\n");
}

/* The next word, without its quotes; false at the end.  Comments begin with # at a word's start. */
static bool next_word(struct scan *s)
{
	size_t n = 0;
	for (;;) {
		while (isspace((unsigned char)*s->at))
			s->at++;
		if (*s->at != '#')
			break;
		skip_line(s);
	}
	s->start = s->at;
	bool quoted = *s->at == '"';
	for (s->at += quoted; *s->at && (quoted ? *s->at != '"' : !isspace((unsigned char)*s->at)); s->at++) {
		if (*s->at == '\\' && s->at[1])
			s->at++;
		if (n < sizeof(s->word) - 1)
			s->word[n++] = *s->at;
	}
	s->at += quoted && *s->at;
	s->word[n] = '\0';
	return n > 0 || quoted;
}

/* A macro lasts until an empty line. */
static void skip_macro(struct scan *s)
{
	const char *end = strstr(s->at, "\n\n");
	s->at = end ? end + 2 : s->at + strlen(s->at);
}

/* Words of an entry come in pairs. */
static bool begins_entry(const char *word)
{
	return str_eq(word, "machine") || str_eq(word, "default") || str_eq(word, "macdef");
}

char *netrc_password(const char *text, const char *host)
{
	struct scan s = {.at = text};
	char *password = NULL;
	bool ours = false;
	while (!password && next_word(&s)) {
		if (str_eq(s.word, "machine")) {
			ours = next_word(&s) && strcasecmp(s.word, host) == 0;
		} else if (str_eq(s.word, "default")) {
			ours = false;
		} else if (str_eq(s.word, "macdef")) {
			skip_macro(&s);
		} else {
			bool is_password = str_eq(s.word, "password");
			if (next_word(&s) && is_password && ours)
				password = xstrdup(s.word);
		}
	}
	explicit_bzero(&s, sizeof(s));
	return password;
}

/* Where the entry that begins at s (its `machine` was read) ends: at the next one. */
static void skip_entry(struct scan *s)
{
	for (;;) {
		if (!next_word(s))
			return;
		if (begins_entry(s->word)) {
			s->at = s->start;
			return;
		}
		next_word(s);
	}
}

char *netrc_with(const char *text, const char *host, const char *password, bool *ret_had)
{
	struct scan s = {.at = text};
	size_t n = 0, room = strlen(text) + strlen(host) + (password ? strlen(password) : 0) + 64;
	char *out = xmalloc(room);
	const char *kept = text;
	*ret_had = false;
	while (next_word(&s)) {
		if (str_eq(s.word, "macdef"))
			skip_macro(&s);
		if (!str_eq(s.word, "machine"))
			continue;
		const char *from = s.start;
		if (!next_word(&s) || strcasecmp(s.word, host) != 0)
			continue;
		skip_entry(&s);
		memcpy(out + n, kept, (size_t)(from - kept));
		n += (size_t)(from - kept);
		kept = s.at;
		*ret_had = true;
	}
	n += (size_t)snprintf(out + n, room - n, "%s", kept);
	if (password)
		snprintf(out + n, room - n, "%smachine %s\n  login user\n  password %s\n",
			 n && out[n - 1] != '\n' ? "\n" : "", host, password);
	explicit_bzero(&s, sizeof(s));
	return out;
}
