/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* inspector.h - one instance under inspection: its signals, the walks of its heap, its probe and the verdict so far.
 *
 * The daemon's overseer and the evaluation of the corpus drive the same inspector. It asks for what it needs and never
 * acts: whoever steps it takes the profile or evicts, and tells it.
 *
 *   inspector_sample ... (requests)          inspector_step -> PROFILE -> inspector_profile -> step -> EVICT -> ...
 *
 * Threads: inspector_sample from any, without waiting; everything else on one thread at a time. Owns: all of it.
 *
 * What it holds:
 *
 *   recorder (signals.h)              7.5 KiB   fixed, for months
 *   two walks (walk.h)                  2 KiB   for ten call sites; at most 20 KiB, for 64 with blocks of every age
 *   probe, settings, verdict          2.3 KiB
 *   while a probe runs                7.5 KiB   the recorder as it was before evictions tore the floors
 *   while it judges                    26 KiB   the history and the walks unpacked, for less than a millisecond
 */
#include "probe.h"
#include "signals.h"
#include "verdict.h"

struct heap_profile;
struct inspector;

struct inspector_settings {
	struct verdict_settings verdict;
	struct probe_settings probe;
	uint64_t hard_limit; /* bytes, 0: none */
	bool has_evict;
};

enum inspector_wish {
	INSPECTOR_NOTHING,
	INSPECTOR_PROFILE, /* walk the heap, then inspector_profile */
	INSPECTOR_EVICT,   /* evict all that can be rebuilt, then inspector_evicted */
};

int inspector_new(uint64_t now, const struct inspector_settings *settings, struct inspector **ret);
void inspector_free(struct inspector **inspector); /* accepts NULL */
void inspector_set(struct inspector *inspector, const struct inspector_settings *settings);
/* True: a block was closed, so that a step is worth its while. */
bool inspector_sample(struct inspector *inspector, uint64_t now, const struct signals_sample *sample);
/* load: 0..1. Judges if there is something new. Call again while it wishes something and the wish was granted. */
enum inspector_wish inspector_step(struct inspector *inspector, uint64_t now, double load);
/* foreign may be NULL. */
int inspector_profile(struct inspector *inspector, const struct heap_profile *own, const struct heap_profile *foreign);
void inspector_evicted(struct inspector *inspector, uint64_t now, int result, uint64_t claimed);
/* The plugin got new settings: what was seen before says nothing about it any more. */
void inspector_restart(struct inspector *inspector, uint64_t now);

const struct verdict *inspector_verdict(const struct inspector *inspector);
const struct probe *inspector_probe(const struct inspector *inspector);
const struct signals *inspector_signals(const struct inspector *inspector);
/* Judges anew, unless a probe is under way, and writes what that verdict was made of as a file to judge again
 * (record.h; name, ctx and *ret as there). */
int inspector_record(struct inspector *inspector, const char *(*name)(const struct verdict_site *site, void *ctx),
		     void *ctx, char **ret, size_t *ret_length);
