/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* supervisor-internal.h - the supervisor's table of plugins; shared by the supervisor*.c only.
 *
 * Owns: the supervisor owns its units; a unit its plugin, image, zombies and, during a change, the fresh instance.
 * Threads: supervisor.lock guards the table and each unit's small facts (state, numbers, last_error, zombies); a unit's
 * `change` is held by whoever starts, switches, evicts or ends one of its instances. Order: change, then lock.
 */
#include "places.h"
#include "plugin.h"
#include "pool.h"
#include "supervisor.h"

#include <pthread.h>
#include <stdatomic.h>

/* Microseconds to wait for a change under way: evictions are short, and nobody is to be refused for one. */
enum { CHANGE_WAIT = 1000000 };

struct zombie {
	struct zombie *next;
	struct instance *instance; /* for whoever holds the unit's change only */
	uint64_t number;
	char reason[160];
};

/* One plugin, from the first configuration that names it to the end of the process. */
struct unit {
	char name[32];
	struct plugin *plugin;
	pthread_mutex_t change;

	/* written under change and lock */
	const struct config_plugin *config; /* in held; NULL: not configured any more */
	struct config *held;
	struct image *image;
	bool enabled;
	enum supervisor_state state;
	char last_error[240];
	struct zombie *zombies;
	struct zombie *graves; /* under change alone: as many as may come to be needed */
	uint64_t restarts[4];  /* by enum supervisor_reason */
	uint64_t reconfigurations;
	struct {
		uint64_t count;
		uintptr_t site; /* of the last one */
		bool named;     /* place is of that site */
		struct supervisor_place place;
	} faults[HEAP_FAULT_STALE_FREE + 1]; /* under lock alone, as the one below */
	bool fault_pending;                  /* the instance is to be replaced */
	bool sampling_set;                   /* by an operator, to: */
	uint64_t sampling;
	struct capture *peak; /* under lock alone; the instance's highest so far */
	struct places_memory places;

	/* of the change under way */
	struct instance *fresh; /* started, not switched to yet */
	struct image *fresh_image;
	bool reconfigured;
};

struct supervisor {
	char *directory; /* of mapping names */
	pthread_mutex_t lock;
	struct unit **units;
	size_t count;
	atomic_uint_fast64_t last_number; /* of instances, over all plugins: names are never reused */
	struct pool *undertaker, *watcher;
	struct pool_job peaks, naming;
	atomic_bool peaking, is_naming;
	void (*placed)(const char *plugin, enum heap_fault_kind kind, uint64_t count,
		       const struct supervisor_place *place, void *ctx);
	void *placed_ctx;
	struct pool_job burial;
	atomic_bool burying;
};

/* With lock held or not: units are never removed. NULL if unknown. */
struct unit *supervisor_unit(struct supervisor *supervisor, const char *name);
struct unit *supervisor_nth_unit(struct supervisor *supervisor, size_t n); /* NULL: there are no more */
/* The unit with its change taken: -ENOENT, -EBUSY with a sentence. */
int supervisor_take(struct supervisor *supervisor, const char *name, struct unit **ret, struct error *error);

/* Enters the serving instance as a reader: it stays until plugin_leave, also while a restart drains it. So looking at a
 * plugin is never refused because somebody changes it. */
int unit_enter(struct supervisor *supervisor, const char *name, struct unit **ret, struct plugin_visit *visit,
	       struct error *error);
/* supervisor-peak.c, on the watcher's thread: heaps may be large, and plugins many. */
void supervisor_look_for_peaks(struct pool_job *job);
/* supervisor-fault.c: finds the names of where bad frees were called, and tells them: afterwards the instance, whose
 * addresses they are, may end. With lock held, whether there are any to find; on the watcher's thread, all of them. */
void supervisor_name_faults(struct supervisor *supervisor, struct unit *unit);
bool supervisor_faults_unnamed(const struct supervisor *supervisor);
void supervisor_name_all(struct pool_job *job);
/* With supervisor.lock held. */
void unit_view(struct unit *unit, struct supervisor_plugin *ret);

int unit_new(struct supervisor *supervisor, const char *name, struct unit **ret);
void unit_set_state(struct supervisor *supervisor, struct unit *unit, enum supervisor_state state, const char *why);
/* The serving instance, NULL if none; with change held. */
struct instance *unit_serving(struct unit *unit);
/* The plugin's file as an absolute path. */
int unit_file(const struct config *config, const struct config_plugin *plugin, char *ret, size_t size);
int unit_read_image(const struct config *config, const struct config_plugin *plugin, struct image **ret,
		    struct error *error);
uint64_t unit_sampling(const struct unit *unit, const struct config_plugin *plugin);
struct instance_options unit_options(struct supervisor *supervisor, struct unit *unit, const struct config *config,
				     const struct config_plugin *plugin, struct image *image);
/* Starts unit->fresh from the given configuration, of the kept image, or of the file read anew (kept NULL). */
int unit_start(struct supervisor *supervisor, struct unit *unit, const struct config *config,
	       const struct config_plugin *plugin, struct image *kept, struct error *error);
/* Takes a fresh instance down again that never served. */
void unit_drop_fresh(struct supervisor *supervisor, struct unit *unit);
/* Drains an instance (NULL: nothing) that no new request enters, and ends it; what cannot be ended becomes a zombie. */
void unit_retire(struct supervisor *supervisor, struct unit *unit, struct instance *instance, uint64_t timeout,
		 struct supervisor_restart *report);

/* supervisor-nonces.c, with change held. Opened before the instance starts, whose init asks for the window; settings
 * that changed hold from the switch on; what is not wanted any more is closed last, when no request can ask for it. */
int unit_open_nonces(struct unit *unit, const struct config *config, const struct config_plugin *plugin,
		     struct error *error);
void unit_set_nonces(struct unit *unit, const struct config_plugin *plugin);
void unit_close_nonces(struct unit *unit);

/* supervisor-zombie.c, with change held. Makes room to remember one more instance, should it not end: asked for before
 * it starts, since none may be forgotten for want of memory. */
int unit_make_grave(struct unit *unit, struct error *error);
void unit_drop_grave(struct unit *unit);
/* Ends an instance that no visit is left of; one that cannot be ended, or that why says is not to be, becomes a zombie.
 */
int unit_bury(struct supervisor *supervisor, struct unit *unit, struct instance *instance, struct error *why);
/* Tries again to end zombies; on the undertaker's thread, as fini may take long. */
void supervisor_bury(struct pool_job *job);
