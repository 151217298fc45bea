/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* plugin.h - a configured plugin: the instance that serves now, the visits inside its instances, its counters.
 *
 * A request visits an instance from admission to its `done`. Visits stand in striped lists, each with its own lock,
 * which also guards the reading of the current instance: a switch takes all stripes once, after which every new visit
 * sees the new instance, and the visits left in the old one are exactly those in the lists.
 *
 * Threads: plugin_enter/leave from any; switch, drain and bury by the supervisor, one at a time for one plugin.
 * Owns: the current instance, the foreign heap, counters, its breaker, its nonces; lives as long as the supervisor.
 */
#include "breaker.h"
#include "instance.h"
#include "nonces.h"
#include "signals.h"
#include "stats.h"

struct plugin;

enum plugin_counter {
	PLUGIN_REQUESTS,
	PLUGIN_STATUS_0, /* no answer went out; PLUGIN_STATUS_0 + n: status class n */
	PLUGIN_STATUS_1,
	PLUGIN_STATUS_2,
	PLUGIN_STATUS_3,
	PLUGIN_STATUS_4,
	PLUGIN_STATUS_5,
	PLUGIN_REFUSED_FULL,     /* 503: queue of its pool full */
	PLUGIN_REFUSED_DISABLED, /* 503: no instance serves */
	PLUGIN_DEADLINE,         /* 504 */
	PLUGIN_FAILED,           /* 500 by MTLSD_FAIL, by no answer, by a wrong action */
	PLUGIN_CANCELLED,        /* 503 by drain */
	PLUGIN_ESCAPED_BYTES,
	PLUGIN_ESCAPED_BLOCKS,
	PLUGIN_FAULTS, /* bad frees */
	PLUGIN_REFUSED_BREAKER, /* 503: not admitted */
	PLUGIN_COUNTERS
};

/* Embedded in whatever visits; the fields are plugin.c's but for cancel. */
struct plugin_visit {
	struct plugin_visit *next, **link;
	struct plugin *plugin;
	struct instance *instance;
	unsigned stripe;
	bool reader; /* an operator looks at the instance: it waits for him like for a request, but is none */
	/* Ends the visit soon: called by plugin_cancel with no lock held, maybe while the visit is ending by itself;
	 * hold/release keep the object alive around it. */
	void (*hold)(struct plugin_visit *visit);
	void (*cancel)(struct plugin_visit *visit, mtlsd_reason reason);
	void (*release)(struct plugin_visit *visit);
};

int plugin_new(const char *name, struct plugin **ret);
void plugin_free(struct plugin **plugin); /* no instance may be left */
const char *plugin_name(const struct plugin *plugin);
struct heap *plugin_foreign(const struct plugin *plugin);
struct stats *plugin_stats(const struct plugin *plugin);
/* Asked before a request enters; told how it ended. */
struct breaker *plugin_breaker(const struct plugin *plugin);
/* Closed until the configuration says otherwise. */
struct nonces *plugin_nonces(const struct plugin *plugin);

/* Enters the current instance: the visit is listed and its instance set. False: none serves. */
bool plugin_enter(struct plugin *plugin, struct plugin_visit *visit);
void plugin_leave(struct plugin_visit *visit);
/* Flags of the current instance's descriptor, 0 if none serves. */
uint32_t plugin_flags(struct plugin *plugin);

/* Calls look with the current instance (NULL if none) such that it cannot end meanwhile. look must be short and must
 * not call the plugin. */
void plugin_peek(struct plugin *plugin, void (*look)(struct instance *, void *ctx), void *ctx);

/* Makes instance (may be NULL) the one new visits enter; returns the one before. */
struct instance *plugin_switch(struct plugin *plugin, struct instance *instance);
/* Visits in an instance (NULL: in any); requests alone, without readers. */
size_t plugin_visits(struct plugin *plugin, const struct instance *instance);
size_t plugin_requests(struct plugin *plugin, const struct instance *instance);

/* A reading of the serving instance; the caller keeps it from ending (a visit, plugin_peek). No lock that a request or
 * an allocation takes for long. now: CLOCK_MONOTONIC microseconds. False: another instance serves by now. */
bool plugin_sample(struct plugin *plugin, struct instance *instance, uint64_t now, struct signals_sample *ret);
/* The same for the way of requests: resident_bytes and largest_bytes are those of the last plugin_sample, and the
 * calling thread's own visit is not among those inside. */
bool plugin_glance(struct plugin *plugin, struct instance *instance, uint64_t now, struct signals_sample *ret);
/* Waits until no visit is in the instance; false after timeout microseconds. */
bool plugin_drain(struct plugin *plugin, const struct instance *instance, uint64_t timeout);
/* Cancels every request in the instance; returns how many. */
size_t plugin_cancel(struct plugin *plugin, const struct instance *instance, mtlsd_reason reason);
