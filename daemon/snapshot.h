/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* snapshot.h - what a request runs against: one configuration, its route table, its plugins; swapped as a whole.
 *
 * Threads: acquire and release from any; publish from one thread at a time. Owns: a reference of the configuration, the
 * router, the names of all routes that ever were. Plugins belong to the supervisor and outlive every snapshot.
 */
#include "config.h"
#include "plugin.h"
#include "router.h"

struct snapshot {
	struct config *config;
	struct router *router;
	struct plugin **plugins; /* by config_plugin.index */
	uint16_t *route_numbers; /* by config_route.index; a name keeps its number in every snapshot */
	struct stats *holders;   /* private */
	struct snapshot *next;   /* private: retired, waiting for its last holder */
};

struct snapshot_store;

int snapshot_store_new(struct snapshot_store **ret);
/* Takes its own reference of config; plugins is an array of config->plugin_count, the store's own once it succeeded. */
int snapshot_publish(struct snapshot_store *store, struct config *config, struct plugin **plugins);
/* NULL before the first publish. */
struct snapshot *snapshot_acquire(struct snapshot_store *store);
void snapshot_release(struct snapshot *snapshot);
/* The route that has or had this number; NULL: none, or one of too many. Valid as long as the store. */
const char *snapshot_route_name(struct snapshot_store *store, unsigned number);
/* Frees retired snapshots nobody holds; returns how many are still held. */
size_t snapshot_sweep(struct snapshot_store *store);
void snapshot_store_free(struct snapshot_store **store); /* nothing may be held */
