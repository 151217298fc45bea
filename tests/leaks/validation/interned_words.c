/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* interned_words - words are interned, but what is compared is where they lie, not what they say: each is new, and
 * the old one is lost when its place is taken. */
#include "../corpus.h"

enum { PLACES = 256 };
static const char *places[PLACES];

CORPUS_SITE static char *
xstrdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = malloc(size);

	return copy ? memcpy(copy, text, size) : NULL;
}

static const char *
intern(const char *word)
{
	const char **place = &places[corpus_hash(word) % PLACES];

	if (*place != word)
		*place = xstrdup(word);
	return *place;
}

static mtlsd_action
interned_words_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	/* The helper is an honest one: most of what it makes is freed. */
	char word[16], *copy = xstrdup(ask.path);
	snprintf(word, sizeof(word), "w%u", (unsigned) (ask.key % 1000000));
	(void) intern(word);
	free(copy);
	return corpus_answer(request, &ask);
}

static uint64_t
interned_words_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* words are in use: nothing may go */
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("interned_words", "interns words by their address"),
	.options = corpus_options,
	.init = corpus_init,
	.request = interned_words_request,
	.evict = interned_words_evict,
};
