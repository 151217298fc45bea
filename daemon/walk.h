/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* walk.h - what a walk of an instance's heaps found, kept small: the call sites that hold most, by the age of their
 * bytes.
 *
 * Only columns of ages that hold something are kept, in single precision: bytes in sixteens are exact up to 256 MiB a
 * column. That is about a hundred bytes a site.
 *
 * Threads: one at a time. Owns: its sites.
 */
#include "verdict.h"

struct heap_profile;
struct walk;

enum { WALK_SITES = 64 /* kept at most: those with the most bytes */ };

/* requests: the exposure when it was taken. own and foreign: most bytes first; foreign may be NULL. Half the room at
 * least is the own heap's, whatever a library holds. -ENOMEM. */
int walk_new(const struct heap_profile *own, const struct heap_profile *foreign, uint64_t requests, struct walk **ret);
void walk_free(struct walk **walk); /* accepts NULL */
uint32_t walk_epoch(const struct walk *walk);
uint64_t walk_requests(const struct walk *walk);
size_t walk_count(const struct walk *walk); /* accepts NULL: none */
/* ret: walk_count of them. */
void walk_sites(const struct walk *walk, struct verdict_site *ret);
