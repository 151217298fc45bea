/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lru_large - a cache of about forty thousand entries, which is warm late or never in a run. */
#include "../lru.h"

static struct cache lru_cache = {.buckets = 65536};
static const uint64_t lru_capacity = 40000;

MTLSD_PLUGIN = {LRU_PLUGIN("lru_large", "a large cache")};
