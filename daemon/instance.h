/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* instance.h - one loaded copy of a plugin: its mapping, its memory space, its settings, and the rules of who may be
 * inside it at once.
 *
 * Calls into a plugin are bracketed by instance_call_begin and _end: they keep the plugin's concurrency promise and
 * enter its memory space. This is the one lock of the daemon that is held across a plugin call: it is the plugin's own
 * serialisation (no MTLSD_CONCURRENT), or a reader's share of it.
 *
 * Threads: calls from any thread; start and end by the supervisor, one at a time for one plugin.
 * Owns: mapping, space, settings, pool, counters, exposure, observer. The foreign heap belongs to the plugin.
 */
#include "mtlsd/plugin.h"

#include "error.h"
#include "exposure.h"
#include "heap.h"
#include "image.h"
#include "pool.h"
#include "scope.h"
#include "settings.h"
#include "stats.h"

struct instance;
struct nonces;

struct instance_options {
	const char *plugin; /* configured name */
	uint64_t number;
	struct image *image;
	const char *directory; /* where mapping names live */
	char *const *imports_allowed;
	size_t imports_allowed_count;
	const char *file; /* configuration file, for messages */
	const struct yaml_node *settings;
	struct heap_limits limits;
	uint64_t sample_interval;
	struct heap *foreign;
	struct nonces *nonces; /* the plugin's */
	unsigned threads, queue; /* of a blocking plugin's pool */
	uint64_t start_timeout;  /* microseconds */
};

/* The word in imports_allowed that admits STB_GNU_UNIQUE symbols. */
#define INSTANCE_ALLOW_UNIQUE "gnu-unique"

/* Inspect, map, compare versions, read settings, check, init, health. -ETIMEDOUT when init does not return in time: its
 * thread is then left to finish and cleans up behind itself. */
int instance_start(const struct instance_options *options, const mtlsd_host *host, struct instance **ret,
		   struct error *error);
/* The same up to and with `check`; nothing stays. */
int instance_check(const struct instance_options *options, const mtlsd_host *host, struct error *error);

const char *instance_plugin(const struct instance *instance);
uint64_t instance_number(const struct instance *instance);
const mtlsd_plugin *instance_descriptor(const struct instance *instance);
void *instance_user(const struct instance *instance);
struct scope_space *instance_space(const struct instance *instance);
struct nonces *instance_nonces(const struct instance *instance);
const struct image_mapping *instance_mapping(const struct instance *instance);
struct pool *instance_pool(const struct instance *instance); /* NULL unless MTLSD_BLOCKING */
uint64_t instance_started(const struct instance *instance);  /* CLOCK_REALTIME seconds */
uint64_t instance_began(const struct instance *instance);    /* CLOCK_MONOTONIC microseconds */
const struct settings *instance_settings(const struct instance *instance);

/* Who is shown how the instance does: on the way of its requests, a sample every SIGNALS_SAMPLE_EVERY. observe runs on
 * threads that serve, several at once, in the daemon's memory: it never waits. release runs when the instance is
 * destroyed, after its last request. Set once, before the instance is switched to or while it serves. */
struct instance_observer {
	bool (*observe)(void *ctx, uint64_t now, const struct signals_sample *sample);
	void (*release)(void *ctx);
	void *ctx;
};
void instance_set_observer(struct instance *instance, const struct instance_observer *observer);
const struct instance_observer *instance_observer(const struct instance *instance); /* NULL: none was set */
struct exposure *instance_exposure(const struct instance *instance);

struct instance_call {
	struct instance *instance;
	struct instance_call *outer; /* the call this one is nested in, on the same thread */
	struct scope_frame frame;
	unsigned stripe;
	bool nested, exclusive;
};
/* A request callback: alone in the instance, or beside others with MTLSD_CONCURRENT. booking may be NULL. */
void instance_call_begin(struct instance *instance, struct instance_call *call, struct scope_booking *booking);
/* A control callback (evict, dump, health, reconfigure): alone, unless MTLSD_OVERLAP. -ETIMEDOUT, and nothing entered,
 * if a callback does not return within 5 s: a plugin that hangs must not hang who looks after it. */
int instance_call_exclusive(struct instance *instance, struct instance_call *call);
void instance_call_end(struct instance_call *call);

/* The control callbacks, bracketed. -EOPNOTSUPP: the plugin has none. -ETIMEDOUT: see instance_call_exclusive. */
int instance_health(struct instance *instance, struct error *error);
int instance_reconfigure(struct instance *instance, const char *file, const struct yaml_node *node,
			 const mtlsd_host *host, struct error *error);
int instance_evict(struct instance *instance, uint64_t target, mtlsd_level level, uint64_t *ret_claimed);
int instance_dump(struct instance *instance, mtlsd_dump *dump);

/* False: the plugin logs faster than 200 records a second; the record is dropped. */
bool instance_admit_log(struct instance *instance);

/* Counters registered by the plugin. */
enum { INSTANCE_COUNTERS = 64 };
int instance_counter(struct instance *instance, const char *name, const char *help);
void instance_count(struct instance *instance, int counter, uint64_t add);
const char *instance_counter_name(const struct instance *instance, int counter); /* NULL past the last */
uint64_t instance_counter_value(const struct instance *instance, int counter);

/* fini (once), end of its threads, dlclose, proof, heap destroyed. No request and no connection data may be left.
 * Clears the pointer on success. -EBUSY with the reason when unload cannot be proved within grace microseconds: the
 * instance stays as it is (a zombie), and the call may be repeated. */
int instance_end(struct instance **instance, uint64_t grace, struct error *error);
