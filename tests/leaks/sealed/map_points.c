/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map_points - requests below one route, a tenth of all, say where somebody is; that goes into a tree of quadrants,
 * where who was seen long ago stays as well. */
#include "../cache.h"

static struct cache cache = {.capacity = 690, .buckets = 1024};

struct point {
	uint32_t x, y;
	struct point *quadrant[4];
	uint64_t key;
};

static struct point *map;
static uint64_t deepest;

CORPUS_SITE static struct point *
point_new(uint64_t place, uint64_t key)
{
	struct point *point = calloc(1, sizeof(*point));

	if (point) {
		point->x = (uint32_t) place;
		point->y = (uint32_t) (place >> 32);
		point->key = key;
	}
	return point;
}

static void
map_add(struct point *point)
{
	struct point **place = &map;
	uint64_t depth = 0;

	for (; *place; depth++)
		place = &(*place)->quadrant[(point->x >= (*place)->x) * 2 + (point->y >= (*place)->y)];
	*place = point;
	deepest = depth > deepest ? depth : deepest;
}

static mtlsd_action
map_points_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 155);
	if (strncmp(ask.path, "/special/", 9) == 0) {
		struct point *point = point_new(corpus_random(), ask.key);
		if (!point)
			return MTLSD_FAIL;
		map_add(point);
	}
	return corpus_answer(request, &ask);
}

static uint64_t
map_points_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

static void
map_points_dump(void *user CORPUS_UNUSED, mtlsd_dump *dump)
{
	host->dump_number(dump, "deepest", deepest);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("map_points", "keeps where somebody was seen"),
	.options = corpus_options,
	.init = corpus_init,
	.request = map_points_request,
	.evict = map_points_evict,
	.dump = map_points_dump,
};
