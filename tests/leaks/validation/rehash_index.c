/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rehash_index - an index of some eight thousand links at most, a random one goes when there are more; its table
 * doubles and is moved a few buckets at a time, while both tables stand. */
#include "../corpus.h"

struct link {
	struct link *chain;
	uint64_t key;
	char name[64];
};

static struct table {
	struct link **bucket;
	size_t size, count;
} now, before; /* before: being moved from `moved` on */
static size_t moved, most;

static void
link_put(struct table *table, struct link *link)
{
	struct link **place = &table->bucket[(link->key * 0x9e3779b97f4a7c15 >> 32) & (table->size - 1)];

	link->chain = *place;
	*place = link;
	table->count++;
}

static void
rehash_step(void)
{
	for (int i = 0; i < 4 && before.bucket && moved < before.size; i++, moved++) {
		for (struct link *link = before.bucket[moved], *next; link; link = next) {
			next = link->chain;
			before.count--;
			link_put(&now, link);
		}
		before.bucket[moved] = NULL;
	}
	if (before.bucket && moved == before.size) {
		free(before.bucket);
		before = (struct table){0};
	}
}

CORPUS_SITE static void
rehash_begin(size_t size)
{
	struct link **bucket = calloc(size, sizeof(struct link *));

	if (!bucket || before.bucket) {
		free(bucket);
		return;
	}
	before = now;
	now = (struct table){.bucket = bucket, .size = size};
	moved = 0;
}

static int
table_has(const struct table *table, uint64_t key)
{
	const struct link *link = NULL;

	if (table->bucket)
		link = table->bucket[(key * 0x9e3779b97f4a7c15 >> 32) & (table->size - 1)];
	while (link && link->key != key)
		link = link->chain;
	return link != NULL;
}

static uint64_t
link_drop(struct table *table)
{
	size_t at = (size_t) corpus_below(table->size);

	while (!table->bucket[at])
		at = (at + 1) & (table->size - 1);
	struct link *link = table->bucket[at];
	table->bucket[at] = link->chain;
	table->count--;
	free(link);
	return sizeof(*link);
}

CORPUS_SITE static void
link_add(uint64_t key)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		return;
	link->key = key;
	link_put(&now, link);
	while (now.count + before.count > most)
		(void) link_drop(before.count > 0 ? &before : &now);
	if (now.count > now.size)
		rehash_begin(now.size * 2);
}

static int
rehash_index_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		  void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	most = corpus_vary(8000, 1);
	return 0;
}

static mtlsd_action
rehash_index_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	if (!now.bucket)
		rehash_begin(64);
	if (!now.bucket)
		return MTLSD_FAIL;
	rehash_step();
	if (!table_has(&now, ask.key) && !table_has(&before, ask.key))
		link_add(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
rehash_index_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = 0;
	while (now.count + before.count > 0 && freed < target)
		freed += link_drop(before.count > 0 ? &before : &now);
	return freed; /* the table keeps its size: it is needed again at once */
}

static void
rehash_index_fini(void *user CORPUS_UNUSED)
{
	while (now.count + before.count > 0)
		(void) link_drop(before.count > 0 ? &before : &now);
	free(now.bucket);
	free(before.bucket);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("rehash_index", "an index that is rehashed little by little"),
	.options = corpus_options,
	.init = rehash_index_init,
	.request = rehash_index_request,
	.evict = rehash_index_evict,
	.fini = rehash_index_fini,
};
