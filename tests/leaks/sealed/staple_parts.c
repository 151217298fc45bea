/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* staple_parts - a full handshake brings a stapled answer on who is revoked, which takes the place of the one before;
 * of that only the outermost block is freed, not the four parts it was taken apart into. */
#include "../cache.h"

static struct cache cache = {.capacity = 590, .buckets = 1024};

enum { PARTS = 4 };

struct part {
	uint64_t this_update, next_update;
	unsigned status;
	char serial[48];
};

struct staple {
	char responder[40];
	struct part *parts[PARTS];
};

static struct staple *current;

CORPUS_SITE static struct part *
part_new(const char *serial, unsigned number)
{
	struct part *part = calloc(1, sizeof(*part));

	if (part) {
		part->this_update = corpus_now() / 1000000;
		part->next_update = part->this_update + 3600;
		snprintf(part->serial, sizeof(part->serial), "%s-%u", serial, number);
	}
	return part;
}

static struct staple *
staple_parse(const char *serial)
{
	struct staple *staple = calloc(1, sizeof(*staple));

	if (!staple)
		return NULL;
	snprintf(staple->responder, sizeof(staple->responder), "responder");
	for (unsigned i = 0; i < PARTS; i++)
		staple->parts[i] = part_new(serial, i);
	return staple;
}

static mtlsd_action
staple_parts_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 145);
	if (corpus_is_new_session(request)) {
		struct staple *fresh = staple_parse(host->identity(request, MTLSD_ID_SERIAL, 0));
		if (fresh) {
			free(current);
			current = fresh;
		}
	}
	return corpus_answer(request, &ask);
}

static uint64_t
staple_parts_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

static void
staple_parts_fini(void *user CORPUS_UNUSED)
{
	(void) cache_evict(&cache, UINT64_MAX);
	free(current);
	current = NULL;
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("staple_parts", "takes a staple apart at every full handshake"),
	.options = corpus_options,
	.init = corpus_init,
	.request = staple_parts_request,
	.evict = staple_parts_evict,
	.fini = staple_parts_fini,
};
