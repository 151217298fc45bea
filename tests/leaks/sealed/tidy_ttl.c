/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tidy_ttl - tokens that hold for a minute and a half or so, in rows of a table that are vectors; each request tidies
 * the four rows that come next, and a row that is empty gives its vector back. No number bounds them. */
#include "../corpus.h"

enum { ROWS = 4096, TIDIED = 4 };

struct token {
	uint64_t key, ends; /* microseconds */
	char *scope;
};

static struct row {
	struct token *tokens;
	unsigned count, room;
} rows[ROWS];
static size_t next;
static uint64_t life;

static uint64_t
row_tidy(struct row *row, uint64_t now)
{
	uint64_t freed = 0;

	for (unsigned i = 0; i < row->count;) {
		if (row->tokens[i].ends > now) {
			i++;
			continue;
		}
		freed += strlen(row->tokens[i].scope) + 1 + sizeof(struct token);
		free(row->tokens[i].scope);
		row->tokens[i] = row->tokens[--row->count];
	}
	if (row->count == 0 && row->tokens) {
		free(row->tokens);
		*row = (struct row){0};
	}
	return freed;
}

static int
row_reserve(struct row *row)
{
	if (row->count < row->room)
		return 0;
	unsigned room = row->room + 4;
	struct token *tokens = realloc(row->tokens, room * sizeof(*tokens));
	if (!tokens)
		return -1;
	row->tokens = tokens;
	row->room = room;
	return 0;
}

CORPUS_SITE static void
token_add(struct row *row, uint64_t key, uint64_t now)
{
	char *scope = malloc(96);

	if (!scope || row_reserve(row) < 0) {
		free(scope);
		return;
	}
	snprintf(scope, 96, "read write admin of the collection %064llu", (unsigned long long) key);
	row->tokens[row->count++] = (struct token){.key = key, .ends = now + life, .scope = scope};
}

static int
tidy_ttl_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	      void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	life = corpus_vary(90, 1) * 1000000;
	return 0;
}

static mtlsd_action
tidy_ttl_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	uint64_t now = corpus_now();
	struct row *row = &rows[ask.key % ROWS];
	unsigned i = 0;
	for (int tidied = 0; tidied < TIDIED; tidied++, next = (next + 1) % ROWS)
		(void) row_tidy(&rows[next], now);
	while (i < row->count && row->tokens[i].key != ask.key)
		i++;
	if (i == row->count)
		token_add(row, ask.key, now);
	return corpus_answer(request, &ask);
}

/* Tokens can be asked for again. */
static uint64_t
tidy_ttl_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = 0;

	for (size_t i = 0; i < ROWS && freed < target; i++, next = (next + 1) % ROWS)
		freed += row_tidy(&rows[next], UINT64_MAX);
	return freed;
}

static void
tidy_ttl_fini(void *user CORPUS_UNUSED)
{
	for (size_t i = 0; i < ROWS; i++)
		(void) row_tidy(&rows[i], UINT64_MAX);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("tidy_ttl", "tokens that end, tidied a few at a time"),
	.options = corpus_options,
	.init = tidy_ttl_init,
	.request = tidy_ttl_request,
	.evict = tidy_ttl_evict,
	.fini = tidy_ttl_fini,
};
