/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sampled_small - some sixteen hundred answers in an open table; when it is full, five are looked at and the one that
 * was used longest ago goes. It is warm soon. */
#include "../corpus.h"

enum { PLACES = 4096, LOOKS = 5, TEXT = 300 };

static struct answer {
	uint64_t key, used;
	char text[];
} * places[PLACES];
static size_t count, room;
static uint64_t tick;

static size_t
place_of(uint64_t key)
{
	size_t at = (size_t) (key * 0x9e3779b97f4a7c15 >> 52);

	while (places[at] && places[at]->key != key)
		at = (at + 1) % PLACES;
	return at;
}

/* Those behind it move up, so that the table needs no tombstones. */
static uint64_t
place_clear(size_t at)
{
	uint64_t freed = sizeof(struct answer) + strlen(places[at]->text) + 1;

	free(places[at]);
	places[at] = NULL;
	count--;
	for (size_t next = (at + 1) % PLACES; places[next]; next = (next + 1) % PLACES) {
		struct answer *moved = places[next];
		places[next] = NULL;
		places[place_of(moved->key)] = moved;
	}
	return freed;
}

static void
make_room(void)
{
	size_t worst = PLACES;

	for (int looks = 0; looks < LOOKS;) {
		size_t at = (size_t) corpus_below(PLACES);
		if (!places[at])
			continue;
		if (worst == PLACES || places[at]->used < places[worst]->used)
			worst = at;
		looks++;
	}
	(void) place_clear(worst);
}

CORPUS_SITE static void
answer_keep(uint64_t key)
{
	size_t length = 40 + (size_t) (key * 7 % (TEXT - 40));
	struct answer *answer = malloc(sizeof(*answer) + length + 1);

	if (!answer)
		return;
	answer->key = key;
	answer->used = tick;
	memset(answer->text, 'a', length);
	answer->text[length] = '\0';
	if (count >= room)
		make_room();
	places[place_of(key)] = answer;
	count++;
}

static int
sampled_small_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		   void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	room = corpus_vary(1600, 1);
	return 0;
}

static mtlsd_action
sampled_small_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct answer *answer = places[place_of(ask.key)];
	tick++;
	if (answer)
		answer->used = tick;
	else
		answer_keep(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
sampled_small_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = 0;

	for (size_t at = 0; at < PLACES && freed < target; at++) {
		while (places[at] && freed < target)
			freed += place_clear(at);
	}
	return freed;
}

static void
sampled_small_fini(void *user)
{
	(void) sampled_small_evict(user, UINT64_MAX, MTLSD_EVICT_STATE);
	for (size_t at = 0; at < PLACES; at++)
		free(places[at]);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("sampled_small", "a cache that throws out the oldest of a sample"),
	.options = corpus_options,
	.init = sampled_small_init,
	.request = sampled_small_request,
	.evict = sampled_small_evict,
	.fini = sampled_small_fini,
};
