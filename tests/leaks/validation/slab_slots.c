/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* slab_slots - small slots come from chunks of a page each; of sixteen slots taken fifteen are given back. Above
 * it a cache warms up, with a clock hand to choose who goes. */
#include "../corpus.h"

enum { SETS = 4100, WAYS = 8, CHUNK = 4096, SLOT = 64, HELD = 64 };

struct slot {
	struct slot *next;
};

static struct slot *spare, *held[HELD];
static struct set {
	struct entry {
		uint64_t key;
		unsigned char *value;
		int used;
	} entries[WAYS];
	unsigned hand;
} sets[SETS];
static size_t set_count;

CORPUS_SITE static unsigned char *
chunk_new(void)
{
	unsigned char *chunk = malloc(CHUNK);

	if (chunk)
		memset(chunk, 's', CHUNK);
	return chunk;
}

static struct slot *
slot_take(void)
{
	struct slot *slot = spare;

	if (!slot) {
		unsigned char *chunk = chunk_new();
		for (size_t at = 0; chunk && at < CHUNK; at += SLOT) {
			struct slot *fresh = (struct slot *) (void *) (chunk + at);
			fresh->next = spare;
			spare = fresh;
		}
		slot = spare;
	}
	if (slot)
		spare = slot->next;
	return slot;
}

static void
slot_give(struct slot *slot)
{
	if (!slot || corpus_below(16) == 0)
		return; /* the forgotten branch */
	slot->next = spare;
	spare = slot;
}

static void
entry_use(uint64_t key)
{
	struct set *set = &sets[key % set_count];

	for (int i = 0; i < WAYS; i++) {
		struct entry *entry = &set->entries[i];
		if (entry->value && entry->key == key) {
			entry->used = 1;
			return;
		}
	}
	/* The hand goes on to one that was not used since it came by. */
	for (; set->entries[set->hand].used; set->hand = (set->hand + 1) % WAYS)
		set->entries[set->hand].used = 0;
	struct entry *entry = &set->entries[set->hand];
	free(entry->value);
	*entry = (struct entry){.key = key, .value = calloc(1, 100 + key % 60)};
	set->hand = (set->hand + 1) % WAYS;
}

static uint64_t
entries_drop(void)
{
	uint64_t freed = 0;

	for (size_t i = 0; i < set_count * WAYS; i++) {
		struct entry *entry = &sets[i / WAYS].entries[i % WAYS];
		freed += entry->value ? 128 : 0;
		free(entry->value);
		*entry = (struct entry){0};
	}
	return freed;
}

static int
slab_slots_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	set_count = corpus_vary(25000, 1) / WAYS;
	return 0;
}

static mtlsd_action
slab_slots_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct slot **place = &held[corpus_below(HELD)];
	slot_give(*place);
	*place = slot_take();
	entry_use(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
slab_slots_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return entries_drop();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("slab_slots", "loses a slot in sixteen while a cache fills"),
	.options = corpus_options,
	.init = slab_slots_init,
	.request = slab_slots_request,
	.evict = slab_slots_evict,
};
