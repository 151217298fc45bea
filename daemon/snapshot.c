/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum {
	SNAPSHOT_ROUTES = 65534, /* names that get a number of their own; the last number stands for all others */
};

struct snapshot_store {
	pthread_mutex_t names_lock; /* guards names, which only grow */
	char **names;
	size_t name_count;
	pthread_mutex_t retired_lock; /* guards retired */
	struct snapshot *retired;
	struct {
		_Alignas(64) pthread_mutex_t lock; /* guards current of this stripe */
		struct snapshot *current;          /* the same in every stripe, outside snapshot_publish */
	} stripes[STATS_STRIPES];
};

static void
snapshot_free(struct snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	router_free(&snapshot->router);
	config_unref(&snapshot->config);
	stats_free(&snapshot->holders);
	free(snapshot->plugins);
	free(snapshot->route_numbers);
	free(snapshot);
}

int
snapshot_store_new(struct snapshot_store **ret)
{
	struct snapshot_store *store = aligned_alloc(64, (sizeof(*store) + 63) / 64 * 64);
	if (store == NULL)
		return -ENOMEM;
	memset(store, 0, sizeof(*store));
	pthread_mutex_init(&store->retired_lock, NULL);
	pthread_mutex_init(&store->names_lock, NULL);
	for (size_t i = 0; i < STATS_STRIPES; i++)
		pthread_mutex_init(&store->stripes[i].lock, NULL);
	*ret = store;
	return 0;
}

static int
snapshot_number_route(struct snapshot_store *store, const char *name, uint16_t *ret)
{
	for (size_t i = 0; i < store->name_count; i++) {
		if (strcmp(store->names[i], name) == 0) {
			*ret = (uint16_t) i;
			return 0;
		}
	}
	if (store->name_count == SNAPSHOT_ROUTES) {
		*ret = SNAPSHOT_ROUTES;
		return 0;
	}
	char *copy = strdup(name);
	char **grown = copy != NULL ? reallocarray(store->names, store->name_count + 1, sizeof(*grown)) : NULL;
	if (grown == NULL) {
		free(copy);
		return -ENOMEM;
	}
	store->names = grown;
	*ret = (uint16_t) store->name_count;
	store->names[store->name_count++] = copy;
	return 0;
}

/* What requests leave behind is counted by route for longer than a configuration lives, so positions in one will not
 * do. */
static int
snapshot_number_routes(struct snapshot_store *store, const struct config *config, uint16_t **ret)
{
	uint16_t *numbers = calloc(config->route_count + 1, sizeof(*numbers));
	int r = numbers != NULL ? 0 : -ENOMEM;

	pthread_mutex_lock(&store->names_lock);
	for (size_t i = 0; r == 0 && i < config->route_count; i++)
		r = snapshot_number_route(store, config->routes[i].name, &numbers[i]);
	pthread_mutex_unlock(&store->names_lock);
	if (r < 0) {
		free(numbers);
		return r;
	}
	*ret = numbers;
	return 0;
}

const char *
snapshot_route_name(struct snapshot_store *store, unsigned number)
{
	pthread_mutex_lock(&store->names_lock);
	const char *name = number < store->name_count ? store->names[number] : NULL;
	pthread_mutex_unlock(&store->names_lock);
	return name;
}

int
snapshot_publish(struct snapshot_store *store, struct config *config, struct plugin **plugins)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	if (snapshot == NULL)
		return -ENOMEM;
	int r = stats_new(1, &snapshot->holders);
	if (r == 0)
		r = router_new(config, &snapshot->router);
	if (r == 0)
		r = snapshot_number_routes(store, config, &snapshot->route_numbers);
	if (r < 0) {
		snapshot_free(snapshot);
		return r;
	}
	snapshot->config = config_ref(config);
	snapshot->plugins = plugins;

	for (size_t i = 0; i < STATS_STRIPES; i++)
		pthread_mutex_lock(&store->stripes[i].lock);
	struct snapshot *before = store->stripes[0].current;
	for (size_t i = 0; i < STATS_STRIPES; i++)
		store->stripes[i].current = snapshot;
	for (size_t i = STATS_STRIPES; i > 0; i--)
		pthread_mutex_unlock(&store->stripes[i - 1].lock);

	if (before != NULL) {
		pthread_mutex_lock(&store->retired_lock);
		before->next = store->retired;
		store->retired = before;
		pthread_mutex_unlock(&store->retired_lock);
	}
	(void) snapshot_sweep(store);
	return 0;
}

struct snapshot *
snapshot_acquire(struct snapshot_store *store)
{
	unsigned stripe = stats_stripe();

	/* The count is raised under the lock: once a publish has held every stripe, nobody new can hold the old one. */
	pthread_mutex_lock(&store->stripes[stripe].lock);
	struct snapshot *snapshot = store->stripes[stripe].current;
	if (snapshot != NULL)
		stats_add(snapshot->holders, 0, 1);
	pthread_mutex_unlock(&store->stripes[stripe].lock);
	return snapshot;
}

void
snapshot_release(struct snapshot *snapshot)
{
	/* The release may come from another thread's stripe than the acquire; the sum is what counts. */
	stats_add(snapshot->holders, 0, UINT64_MAX);
}

size_t
snapshot_sweep(struct snapshot_store *store)
{
	size_t held = 0;

	pthread_mutex_lock(&store->retired_lock);
	for (struct snapshot **link = &store->retired; *link != NULL;) {
		struct snapshot *snapshot = *link;
		if (stats_sum(snapshot->holders, 0) == 0) {
			*link = snapshot->next;
			snapshot_free(snapshot);
		} else {
			held++;
			link = &snapshot->next;
		}
	}
	pthread_mutex_unlock(&store->retired_lock);
	return held;
}

void
snapshot_store_free(struct snapshot_store **storep)
{
	struct snapshot_store *store = *storep;
	if (store == NULL)
		return;
	(void) snapshot_sweep(store);
	snapshot_free(store->stripes[0].current);
	for (size_t i = 0; i < STATS_STRIPES; i++)
		pthread_mutex_destroy(&store->stripes[i].lock);
	for (size_t i = 0; i < store->name_count; i++)
		free(store->names[i]);
	free(store->names);
	pthread_mutex_destroy(&store->names_lock);
	pthread_mutex_destroy(&store->retired_lock);
	free(store);
	*storep = NULL;
}
