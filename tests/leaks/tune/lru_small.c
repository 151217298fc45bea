/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lru_small - a cache of about two thousand entries, which is warm soon. */
#include "../lru.h"

static struct cache lru_cache = {.buckets = 4096};
static const uint64_t lru_capacity = 2000;

MTLSD_PLUGIN = {LRU_PLUGIN("lru_small", "a small cache")};
