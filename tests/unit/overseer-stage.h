/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* overseer-stage.h - the overseer with a supervisor, instances and inspectors made of constants: what it does follows
 * from what they say.
 *
 * Threads: the overseer's own act on the fakes; tests look when stage_step has returned. Owns: the fakes' breakers,
 * from stage_setup to stage_teardown.
 */
#include "cleanup.h"
#include "inspector.h"
#include "log.h"
#include "overseer.h"
#include "plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

enum { SECOND = 1000000, MIB = 1 << 20 };

/* A plugin made of constants. */
struct fake {
	struct config config;
	struct config_plugin plugin;
	char name[32];
	bool configured, serves, enabled, faulty;
	enum supervisor_state state;
	uint64_t number, reconfigured;
	uint64_t own, foreign, inflight, refused;
	uint64_t own_after, foreign_after; /* of an instance that was just started */
	mtlsd_plugin descriptor;
	struct breaker *breaker;
	struct instance_observer observer;
	bool observed;
	/* what the inspector says */
	struct verdict verdict;
	enum inspector_wish wish;
	const char *phase;
	struct verdict_probes probes;
	/* what is done */
	atomic_int evictions, replaced, started, walks, restarted_inspections, settings, inspectors, told_evicted;
	int eviction_result, replace_result, evicted_result;
	uint64_t evict_target, eviction_frees;
	int evict_level;
	bool zombie;
};
extern struct fake fakes[2];
extern struct fake *inspected; /* whom the next inspector speaks for; set by the test where there are two */
extern uint64_t stage_now;     /* microseconds; stage_step adds a second */

struct overseer *stage_setup(void);
void stage_teardown(struct overseer **overseer);
void stage_step(struct overseer *overseer);
/* "confirmed dumped evicted restarted": the kinds of all notes. */
void stage_assert_story(struct overseer *overseer, const char *plugin, const char *want);
void stage_assert_told(struct overseer *overseer, const char *plugin, const char *words);
struct overseer_view stage_view(struct overseer *overseer);
void stage_leak(enum verdict_outcome outcome);
