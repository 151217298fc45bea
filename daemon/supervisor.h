/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* supervisor.h - the plugins of the daemon: which instance serves, what it holds, and the operator's verbs on it.
 *
 * Changes of one plugin exclude each other (-EBUSY) and may take long (drain): they are called from a job thread, never
 * from the main loop. Reading calls are quick and may come from any thread.
 *
 * Threads: as said above. Owns: plugins, their instances, foreign heaps and zombies.
 */
#include "config.h"
#include "error.h"
#include "heap.h"
#include "nonces.h"
#include "scope.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct plugin;
struct supervisor;

enum supervisor_state {
	SUPERVISOR_DISABLED, /* by the configuration or an operator: requests get 503 */
	SUPERVISOR_STARTING, /* no instance serves yet */
	SUPERVISOR_READY,
	SUPERVISOR_DRAINING, /* a new instance serves, an old one ends */
	SUPERVISOR_FAILED,   /* no instance: the last start failed */
};
const char *supervisor_state_name(enum supervisor_state state);

struct supervisor_plugin {
	char name[32], version[32], summary[96], path[256], sha256[65];
	enum supervisor_state state;
	uint64_t instance;                   /* its number; 0: none */
	uint64_t since;                      /* CLOCK_REALTIME seconds of the instance's start */
	uint32_t flags;                      /* of the descriptor */
	bool has_evict;                      /* the serving instance can be asked to give memory back */
	uint64_t requests, inflight, queued; /* requests: of the plugin since the daemon started */
	uint64_t status[6];                  /* answers by class: [2] 2xx, ...; [0] none */
	uint64_t refused_full, refused_disabled, refused_breaker, deadline_missed, failed, cancelled;
	uint64_t escaped_bytes, escaped_blocks; /* of this instance */
	uint64_t restarts_operator, restarts_reload, restarts_leak, restarts_crash;
	struct heap_usage own, foreign;
	uint64_t soft_limit, hard_limit, sample_interval;
	uint64_t faults; /* bad frees, plugin life */
	uint64_t fault_counts[HEAP_FAULT_STALE_FREE + 1]; /* the same by kind */
	uintptr_t fault_sites[HEAP_FAULT_STALE_FREE + 1]; /* of the last of each kind */
	unsigned threads, zombies;
	char last_error[240];
};

/* Starts nothing yet. run_directory: where image names live. */
int supervisor_new(const char *run_directory, struct supervisor **ret, struct error *error);
/* Makes the set of plugins that of the configuration: loads new ones, replaces or reconfigures changed ones, ends those
 * that are gone. All new instances are up before anything is switched; on failure nothing changed. apply_commit is
 * called in between, once everything is ready and before old instances drain (the caller publishes the snapshot). */
int supervisor_apply(struct supervisor *supervisor, struct config *config,
		     int (*commit)(void *ctx, struct error *error), void *ctx, struct error *error);
/* Loads every plugin's image for its descriptor and checks its settings; starts no instance. Mistakes as in config.h.
 */
int supervisor_check(const struct config *config, char **ret_mistakes);

size_t supervisor_count(const struct supervisor *supervisor);
/* By position or by name. -ENOENT. */
int supervisor_get(struct supervisor *supervisor, size_t index, struct supervisor_plugin *ret);
int supervisor_find(struct supervisor *supervisor, const char *name, struct supervisor_plugin *ret);

/* The plugin's own words (its dump callback) and counters, as JSON objects. The callback may have to wait for the
 * plugin's own work: ret_dump only from a job thread, else NULL. */
int supervisor_words(struct supervisor *supervisor, const char *name, json_t **ret_counters, json_t **ret_dump,
		     struct error *error);

/* What keeps its signed requests from being taken twice. -ENOENT. */
int supervisor_nonces(struct supervisor *supervisor, const char *name, struct nonces_report *ret);

/* A call address, resolved. Empty strings where nothing is known. */
struct supervisor_place {
	uintptr_t address;
	char function[128], file[128], module[96], build_id[48];
	int line;
	uint64_t offset;
	bool inside; /* in the plugin's own image */
};

/* One call stack of blocks that were sampled. The numbers are estimates; they say how a site's exact bytes divide. */
struct supervisor_stack {
	uintptr_t site; /* the allocating call: the innermost frame's */
	bool foreign;
	uint64_t bytes, objects, allocated_bytes, allocated_objects;
	unsigned depth;
	/* In supervisor_dump.places, innermost first, up to the plugin's outermost. */
	uint32_t frames[HEAP_STACK_FRAMES];
};

/* What requests of a route that were answered so left behind at a site; exact, since the instance began. */
struct supervisor_escape {
	uint32_t place; /* in the array that comes with it; its address is 0 for what found no room in the books */
	unsigned route; /* server_route() names it */
	unsigned status_class;
	uint64_t bytes, blocks, requests;
};

/* One group of live blocks with its place resolved. */
struct supervisor_site {
	uintptr_t address;
	const char *scope;                         /* "plugin", "arena", "foreign" */
	uint64_t bytes, objects, oldest, youngest; /* ages in requests */
	char function[128], file[128], module[96], build_id[48];
	int line;
	uint64_t offset;
	uint32_t place;                          /* the same, in supervisor_dump.places */
	uint64_t age_bytes[32], age_objects[32]; /* as heap.h */
	size_t first_stack, stack_count;         /* its samples, in supervisor_dump.stacks */
};
struct supervisor_dump {
	struct supervisor_plugin plugin;
	uint64_t epoch, taken; /* of the capture; taken: CLOCK_REALTIME seconds */
	size_t count;
	struct supervisor_site *sites; /* most bytes first */
	uint64_t age_bytes[32];        /* own heap, by log2 of age */
	size_t place_count, stack_count, escape_count;
	struct supervisor_place *places;
	struct supervisor_stack *stacks; /* by heap and site, most bytes first */
	struct supervisor_escape *escapes;
	uint64_t own_allocated, foreign_allocated; /* bytes ever allocated, exact */
	uint64_t own_allocated_objects, foreign_allocated_objects;
};
int supervisor_dump(struct supervisor *supervisor, const char *name, uint32_t min_age, struct supervisor_dump **ret,
		    struct error *error);
/* What the serving instance held at its highest so far, as the tick saw it. -ENODATA: nothing was kept yet. */
int supervisor_dump_peak(struct supervisor *supervisor, const char *name, struct supervisor_dump **ret,
			 struct error *error);
void supervisor_dump_free(struct supervisor_dump **dump);

/* Resolves the escapes of the serving instance; most bytes first. */
struct supervisor_escapes {
	uint64_t instance;
	size_t count, place_count;
	struct supervisor_escape *rows;
	struct supervisor_place *places;
};
int supervisor_escapes(struct supervisor *supervisor, const char *name, struct supervisor_escapes *ret,
		       struct error *error);
void supervisor_escapes_clear(struct supervisor_escapes *escapes);
/* Bytes between samples of call stacks, for the serving instance and those after it, until the configuration's value
 * changes. */
int supervisor_sampling(struct supervisor *supervisor, const char *name, uint64_t interval, struct error *error);
/* Resolves one address in the serving instance. */
int supervisor_resolve(struct supervisor *supervisor, const char *name, uintptr_t address, struct supervisor_place *ret,
		       struct error *error);

struct supervisor_eviction {
	uint64_t claimed;                         /* what the hook says it freed */
	uint64_t live_before, live_after;         /* own heap, measured */
	uint64_t resident_before, resident_after; /* own heap, measured */
	bool hook;                                /* the plugin has one */
};
/* level: 1..3 as mtlsd_level. */
int supervisor_evict(struct supervisor *supervisor, const char *name, uint64_t target, int level,
		     struct supervisor_eviction *ret, struct error *error);

struct supervisor_restart {
	uint64_t old_instance, new_instance;
	uint64_t drained, cancelled; /* requests of the old instance that ended, that were cancelled */
	uint64_t freed_bytes;        /* live bytes of the old heap, destroyed */
	bool zombie;
	char zombie_reason[160];
};
/* Why an instance is replaced; restarts are counted by it. */
enum supervisor_reason { SUPERVISOR_OPERATOR, SUPERVISOR_RELOAD, SUPERVISOR_LEAK, SUPERVISOR_CRASH };
/* By the daemon itself, from the kept image; also starts a plugin that failed. if_instance: as below. */
int supervisor_replace(struct supervisor *supervisor, const char *name, uint64_t if_instance,
		       enum supervisor_reason reason, struct supervisor_restart *ret, struct error *error);
/* if_instance: 0 or the number that must be serving (-ESTALE). reread: read the file again (operator), else the kept
 * image. timeout: microseconds, 0: the configuration's drain timeout. */
int supervisor_restart(struct supervisor *supervisor, const char *name, uint64_t if_instance, bool reread,
		       uint64_t timeout, struct supervisor_restart *ret, struct error *error);
int supervisor_enable(struct supervisor *supervisor, const char *name, struct error *error);
int supervisor_disable(struct supervisor *supervisor, const char *name, struct supervisor_restart *ret,
		       struct error *error);

/* The plugin of that name, NULL if the supervisor has none; valid as long as the supervisor. */
struct plugin *supervisor_plugin(struct supervisor *supervisor, const char *name);

/* One plugin as whoever watches it needs it; the pointers are good while look runs. */
struct supervisor_look {
	const char *name;
	enum supervisor_state state;
	bool enabled;
	char last_error[240];
	bool faulty;           /* it freed what it must not, and memory.on_fault: restart has it replaced for that */
	uint64_t reconfigured; /* how often it got new settings without a new instance */
	struct config *config; /* what is in force for it */
	const struct config_plugin *plugin;
	struct plugin *handle;
	struct instance *instance; /* that serves and cannot end meanwhile; NULL: none */
};
/* By position. look may call the instance, but must not restart it: a restart would wait for it. -ENOENT. */
int supervisor_look(struct supervisor *supervisor, size_t index,
		    void (*look)(const struct supervisor_look *seen, void *ctx), void *ctx);

/* From the heaps' fault handler, on the faulting thread: counts by kind; supervisor_look tells of it with
 * memory.on_fault: restart. */
void supervisor_fault(struct supervisor *supervisor, const struct heap_fault *fault);
/* Where the last bad free of that kind was called: outlives the instance that did it. -ENOENT: not known (yet). */
int supervisor_fault_place(struct supervisor *supervisor, const char *name, enum heap_fault_kind kind,
			   struct supervisor_place *ret);
/* placed: on a thread of the supervisor's, once for each new place that frees badly. Set before the first tick. */
void supervisor_on_fault_place(struct supervisor *supervisor,
			       void (*placed)(const char *plugin, enum heap_fault_kind kind, uint64_t count,
					      const struct supervisor_place *place, void *ctx),
			       void *ctx);

/* Called once a second by the main loop: decay of free pages, zombies that can be buried now, peaks. */
void supervisor_tick(struct supervisor *supervisor);
/* Ends every instance, waiting at most timeout microseconds for their requests. */
void supervisor_stop(struct supervisor *supervisor, uint64_t timeout);
void supervisor_free(struct supervisor **supervisor);
