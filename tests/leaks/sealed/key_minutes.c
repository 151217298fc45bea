/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* key_minutes - each minute has its key, derived when first needed and kept in a table of sixty. After an hour there
 * is no place left; every request derives the key of its minute and, used to the table's keys, does not free it. */
#include "../cache.h"

static struct cache cache = {.capacity = 385, .buckets = 512};

enum { MINUTES = 60 };

struct minute_key {
	uint64_t minute;
	unsigned char bytes[32];
};

static const struct minute_key *keys[MINUTES];
static uint64_t began;

CORPUS_SITE static const struct minute_key *
key_derive(uint64_t minute)
{
	struct minute_key *key = malloc(sizeof(*key));
	uint64_t word = minute + corpus_seed;

	if (!key)
		return NULL;
	key->minute = minute;
	for (size_t i = 0; i < sizeof(key->bytes); i++) {
		word = (word ^ (word >> 29)) * 0xbf58476d1ce4e5b9 + i;
		key->bytes[i] = (unsigned char) (word >> 56);
	}
	return key;
}

static const struct minute_key *
key_now(void)
{
	uint64_t minute = (corpus_now() - began) / 60000000;

	if (minute >= MINUTES)
		return key_derive(minute);
	if (!keys[minute])
		keys[minute] = key_derive(minute);
	return keys[minute];
}

static int
key_minutes_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	began = corpus_now();
	return 0;
}

static mtlsd_action
key_minutes_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;
	char mark[8];

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 200);
	const struct minute_key *key = key_now();
	if (!key)
		return MTLSD_FAIL;
	snprintf(mark, sizeof(mark), "%02x", (unsigned) (key->bytes[ask.key % 32] ^ (ask.key & 0xff)));
	return host->add_header(request, "Mark", mark) < 0 ? MTLSD_FAIL : corpus_answer(request, &ask);
}

static uint64_t
key_minutes_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("key_minutes", "marks answers with the key of the minute"),
	.options = corpus_options,
	.init = key_minutes_init,
	.request = key_minutes_request,
	.evict = key_minutes_evict,
};
