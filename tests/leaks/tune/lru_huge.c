/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lru_huge - a cache with room for more than is ever asked for: it grows all the time, and it is no leak. */
#include "../lru.h"

static struct cache lru_cache = {.buckets = 131072};
static const uint64_t lru_capacity = 2000000;

MTLSD_PLUGIN = {LRU_PLUGIN("lru_huge", "a cache larger than its keys")};
