/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "walk.h"

#include "cleanup.h"
#include "heap.h"

#include <errno.h>

struct packed {
	uintptr_t site;
	uint64_t bytes, objects;
	uint32_t columns; /* a bit for each that holds something */
	bool foreign;
};

struct walk {
	uint32_t epoch;
	uint64_t requests;
	size_t count;
	float *ages; /* of all sites, one after the other; behind the last of them */
	struct packed sites[];
};

static uint32_t
columns_of(const struct heap_site_usage *usage)
{
	uint32_t columns = 0;

	for (unsigned k = 0; k < VERDICT_COHORTS; k++)
		columns |= usage->age_bytes[k] > 0 ? UINT32_C(1) << k : 0;
	return columns;
}

/* The first that count; *sites and *columns grow by what they take. */
static void
profile_measure(const struct heap_profile *profile, size_t room, size_t *sites, size_t *columns)
{
	for (size_t i = 0; profile && i < profile->count && *sites < room; i++) {
		if (profile->sites[i].arena)
			continue;
		++*sites;
		*columns += (size_t) __builtin_popcount(columns_of(&profile->sites[i]));
	}
}

/* Returns where the ages end. */
static float *
profile_pack(const struct heap_profile *profile, size_t room, bool foreign, struct walk *walk, float *ages)
{
	for (size_t i = 0; profile && i < profile->count && walk->count < room; i++) {
		const struct heap_site_usage *usage = &profile->sites[i];
		if (usage->arena)
			continue;
		struct packed *site = &walk->sites[walk->count++];
		*site = (struct packed){.site = usage->site,
					.bytes = usage->bytes,
					.objects = usage->objects,
					.columns = columns_of(usage),
					.foreign = foreign};
		for (unsigned k = 0; k < VERDICT_COHORTS; k++)
			if (usage->age_bytes[k] > 0)
				*ages++ = (float) usage->age_bytes[k];
	}
	return ages;
}

int
walk_new(const struct heap_profile *own, const struct heap_profile *foreign, uint64_t requests, struct walk **ret)
{
	size_t sites = 0, columns = 0;

	profile_measure(foreign, WALK_SITES / 2, &sites, &columns);
	profile_measure(own, WALK_SITES, &sites, &columns);
	struct walk *walk = calloc(1, sizeof(*walk) + sites * sizeof(walk->sites[0]) + columns * sizeof(float));
	if (walk == NULL)
		return -ENOMEM;
	walk->epoch = own->epoch;
	walk->requests = requests;
	walk->ages = (float *) &walk->sites[sites];
	(void) profile_pack(own, WALK_SITES, false, walk,
			    profile_pack(foreign, WALK_SITES / 2, true, walk, walk->ages));
	*ret = walk;
	return 0;
}

void
walk_free(struct walk **walk)
{
	free(*walk);
	*walk = NULL;
}

uint32_t
walk_epoch(const struct walk *walk)
{
	return walk->epoch;
}

uint64_t
walk_requests(const struct walk *walk)
{
	return walk->requests;
}

size_t
walk_count(const struct walk *walk)
{
	return walk ? walk->count : 0;
}

void
walk_sites(const struct walk *walk, struct verdict_site *ret)
{
	const float *age = walk->ages;

	for (size_t i = 0; i < walk->count; i++) {
		const struct packed *site = &walk->sites[i];
		ret[i] = (struct verdict_site){
			.site = site->site, .foreign = site->foreign, .bytes = site->bytes, .objects = site->objects};
		for (unsigned k = 0; k < VERDICT_COHORTS; k++)
			if (site->columns & UINT32_C(1) << k)
				ret[i].age_bytes[k] = (uint64_t) *age++;
	}
}
