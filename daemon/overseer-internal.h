/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* overseer-internal.h - the overseer's table of plugins; shared by the overseer*.c only.
 *
 * A *ward* is one plugin under watch, an *inspection* one instance's inspector, which the instance feeds and the
 * overseer steps; who lets go last frees it. A *repair* is a restart under way: on a thread of its own, since it may
 * drain for long, and as long as it runs the ward's policy, budget and findings are the repair's.
 *
 * Threads: overseer.lock guards what is shown (view, notes) and the table; inspection.work one inspector. What belongs
 * to neither is the stepping thread's, or the repair's while it is busy. Order: work, then lock.
 * Owns: the overseer owns its wards, a ward its inspection's reference.
 */
#include "event.h"
#include "inspector.h"
#include "overseer.h"
#include "plugin.h"
#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	OVERSEER_SECOND = 1000000,
	OVERSEER_NOTES = 64,                           /* kept of each plugin */
	OVERSEER_REST = 10 * 60 * OVERSEER_SECOND,     /* between records of suspicions that come and go */
	OVERSEER_EVICT_REST = 60 * OVERSEER_SECOND,    /* between records of the soft limit's evictions */
	OVERSEER_PRESSURE_REST = 10 * OVERSEER_SECOND, /* between evictions of one plugin for memory pressure */
};

struct inspection {
	atomic_uint references;
	pthread_mutex_t work; /* guards the inspector, but for samples */
	struct inspector *inspector;
};
void inspection_unref(struct inspection **inspection); /* accepts NULL */

struct note {
	uint64_t at, instance; /* CLOCK_REALTIME seconds */
	enum event_kind kind;
	char *text;
};
enum { NOTE_TEXT = 360 /* longest */ };

struct ward;

enum repair_kind {
	REPAIR_PLANNED, /* for its leak, or near a limit */
	REPAIR_FAULTS,  /* for bad frees */
	REPAIR_START,   /* the plugin serves nothing: it is started, not replaced */
};

struct repair {
	struct pool_job job;
	struct overseer *overseer;
	struct ward *ward;
	atomic_bool busy;
	enum repair_kind kind;
	uint64_t now;                        /* of the step that began it */
	uint64_t instance, held, first, own; /* bytes are live ones */
	enum policy_reason reason;
	struct config *config; /* held */
	const struct config_plugin *plugin;
};

struct ward {
	char name[32];
	bool seen; /* in this step */

	/* the instance */
	uint64_t instance, generation, reconfigured;
	uint64_t first_held; /* live bytes when it began to be watched */
	bool has_evict;
	struct inspection *inspection; /* changed under lock; NULL: not watched, or nothing serves */
	struct verdict verdict;        /* as last judged; WARMING without an inspector */
	struct verdict_probes probes;
	char phase[40];       /* of the probe */
	uintptr_t named_site; /* the site whose words are in place */
	char place[300];

	/* what is done about it */
	struct policy policy;
	struct budget budget;
	bool stopped;               /* restarts take back too little */
	uint64_t refused;           /* allocations of the instance, as last seen */
	bool held;                  /* its breaker, for the policy */
	bool suspected;             /* was told to be */
	bool gave_up;               /* was told that its restarts are spent */
	bool failure_counted;       /* of a plugin that serves nothing */
	uint64_t told[EVENT_KINDS]; /* clock of the last record, 0: never */
	uint64_t breaker_opened, breaker_closed;
	enum breaker_state breaker;
	uint64_t replaced_by; /* the instance of the last repair */
	uint64_t pressed;     /* clock of its last eviction for memory pressure */
	struct repair repair;

	/* shown */
	struct overseer_view view;
	struct note notes[OVERSEER_NOTES];
	unsigned note_count; /* ever */
};

/* What a step saw of a plugin; bytes are live ones. */
struct sight {
	struct overseer *overseer;
	struct ward *ward;
	uint64_t now;
	enum supervisor_state state;
	bool skipped; /* a repair is under way */
	bool enabled, serves, faulty, wants_eviction, refusing;
	char last_error[240];
	struct config *config; /* a reference */
	const struct config_plugin *plugin;
	struct plugin *handle;
	uint64_t own, foreign, inflight;
};

struct overseer {
	struct supervisor *supervisor;
	pthread_mutex_t lock;
	struct ward **wards;
	size_t count;
	uint64_t random; /* state of a xorshift generator */
	double load;     /* 0..1 of the machine, of this process, since the step before */
	uint64_t load_at, load_used;
	atomic_bool pressed, stopped, stepping;
	pthread_cond_t idle; /* a step or a repair has ended */
	struct pool *thread, *repairs;
	struct pool_job step;
};

double overseer_random(struct overseer *overseer);
struct ward *overseer_ward(struct overseer *overseer, const char *name);

/* overseer-watch.c: under supervisor_look. Samples, judges, grants walks of the heap. */
void ward_watch(struct sight *sight, const struct supervisor_look *seen);
/* overseer-act.c: evicts for a probe, tells what is new, does what the policy decides. */
void ward_act(struct sight *sight);
/* Evicts the largest plugin that can. */
void overseer_relieve(struct overseer *overseer, uint64_t now);
/* overseer-verb.c. Finds words for the likeliest site, if it is another than before. */
void ward_name_site(const struct sight *sight);
void ward_sentence(const struct ward *ward, char *ret, size_t size);
/* Returns what was measured to be gone; negative errno. A routine eviction that gives nothing is no news. */
int64_t ward_give_back(const struct sight *sight, uint64_t target, int level, const char *why, bool is_routine,
		       bool quietly);
void ward_dump(const struct sight *sight);
/* overseer-repair.c: begins one, unless one is under way or the overseer ends. */
void repair_begin(const struct sight *sight, enum policy_reason reason);
/* For a plugin that has no instance though it should. */
void ward_revive(struct sight *sight);
/* For one that is to be replaced for its bad frees. */
void ward_mend(struct sight *sight);
void repair_work(struct pool_job *job);

/* A step or a repair has ended. */
void overseer_end(struct overseer *overseer, atomic_bool *busy);

/* overseer-view.c: a journal record and a note. */
void ward_tell(struct overseer *overseer, struct ward *ward, enum event_kind kind, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* False: one of that kind was told in the last rest microseconds; else it counts as told now. */
bool ward_is_due(struct ward *ward, enum event_kind kind, uint64_t now, uint64_t rest);
