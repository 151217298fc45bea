/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* weak_random - a cache of some five thousand that is weak: any of its values may go at any time, and now and then
 * a quarter of them does. */
#include "../corpus.h"

enum { VALUES = 6500 };

static struct value {
	uint64_t key;
	size_t bytes;
	char *data;
} values[VALUES];
static size_t room, losses;

static uint64_t
value_lose(struct value *value)
{
	uint64_t freed = value->data ? value->bytes : 0;

	free(value->data);
	*value = (struct value){0};
	return freed;
}

CORPUS_SITE static void
value_keep(struct value *value, uint64_t key)
{
	(void) value_lose(value);
	*value = (struct value){.key = key, .bytes = 100 + corpus_below(600)};
	value->data = calloc(1, value->bytes);
}

static void
values_lose(void)
{
	for (size_t i = 0; i < room; i++)
		if (corpus_below(4) == 0)
			(void) value_lose(&values[i]);
	losses++;
}

static int
weak_random_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	room = corpus_vary(5000, 1);
	return 0;
}

static mtlsd_action
weak_random_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct value *value = &values[(ask.key * 0x9e3779b97f4a7c15 >> 30) % room];
	if (!value->data || value->key != ask.key)
		value_keep(value, ask.key);
	if (corpus_below(7000) == 0)
		values_lose();
	return corpus_answer(request, &ask);
}

static uint64_t
weak_random_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = 0;
	for (size_t i = 0; i < room && freed < target; i++)
		freed += value_lose(&values[i]);
	return freed;
}

static void
weak_random_fini(void *user CORPUS_UNUSED)
{
	for (size_t i = 0; i < room; i++)
		(void) value_lose(&values[i]);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("weak_random", "a cache that loses values at random"),
	.options = corpus_options,
	.init = weak_random_init,
	.request = weak_random_request,
	.evict = weak_random_evict,
	.fini = weak_random_fini,
};
