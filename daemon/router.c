/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "router.h"

#include "glob.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* One route in the sorted list. */
struct entry {
	const struct config_route *route;
	const char *path; /* prefix: the length below leaves out a trailing '/' */
	size_t length;
	bool is_prefix;
};

/* Routes that share kind and path: a run of entries, those with hosts first, then file order. */
struct group {
	uint32_t hash;
	bool is_prefix;
	size_t first, count; /* count 0: free slot */
};

struct router {
	struct entry *entries;
	size_t count;
	struct group *slots; /* open addressing, at most half full */
	size_t mask;
	size_t prefix_max; /* length of the longest prefix */
};

/* FNV-1a: taken byte by byte, so that one pass over a path gives the hash of each of its prefixes. The table holds only
 * what the operator wrote; a client cannot add to a chain. */
static const uint32_t hash_start = 2166136261U;

static uint32_t
hash_add(uint32_t hash, char byte)
{
	return (hash ^ (unsigned char) byte) * 16777619U;
}

static int
entry_compare(const void *a, const void *b)
{
	const struct entry *left = a, *right = b;
	bool left_hosts = left->route->hosts.count > 0, right_hosts = right->route->hosts.count > 0;
	int order;

	if (left->is_prefix != right->is_prefix)
		return left->is_prefix ? 1 : -1;
	if (left->length != right->length)
		return left->length < right->length ? -1 : 1;
	order = memcmp(left->path, right->path, left->length);
	if (order != 0)
		return order;
	if (left_hosts != right_hosts)
		return left_hosts ? -1 : 1;
	return left->route->index < right->route->index ? -1 : left->route->index > right->route->index;
}

static bool
same_group(const struct entry *a, const struct entry *b)
{
	return a->is_prefix == b->is_prefix && a->length == b->length && memcmp(a->path, b->path, a->length) == 0;
}

static const struct group *
group_find(const struct router *router, uint32_t hash, const char *path, size_t length, bool is_prefix)
{
	for (size_t i = hash & router->mask; router->slots[i].count > 0; i = (i + 1) & router->mask) {
		const struct group *group = &router->slots[i];
		const struct entry *entry = &router->entries[group->first];

		if (group->hash == hash && group->is_prefix == is_prefix && entry->length == length &&
		    memcmp(entry->path, path, length) == 0)
			return group;
	}
	return NULL;
}

static void
group_insert(struct router *router, size_t first, size_t count)
{
	const struct entry *entry = &router->entries[first];
	uint32_t hash = hash_start;
	size_t i;

	for (size_t k = 0; k < entry->length; k++)
		hash = hash_add(hash, entry->path[k]);
	for (i = hash & router->mask; router->slots[i].count > 0; i = (i + 1) & router->mask)
		;
	router->slots[i] = (struct group){hash, entry->is_prefix, first, count};
	if (entry->is_prefix && entry->length > router->prefix_max)
		router->prefix_max = entry->length;
}

static struct entry
entry_of(const struct config_route *route)
{
	struct entry entry = {.route = route, .path = route->path, .is_prefix = route->prefix != NULL};

	if (entry.is_prefix)
		entry.path = route->prefix;
	entry.length = strlen(entry.path);
	if (entry.is_prefix && entry.length > 0 && entry.path[entry.length - 1] == '/')
		entry.length--;
	return entry;
}

static void
index_fill(struct router *router, const struct config *config)
{
	for (size_t i = 0; i < router->count; i++)
		router->entries[i] = entry_of(&config->routes[i]);
	qsort(router->entries, router->count, sizeof(*router->entries), entry_compare);
	for (size_t first = 0, next; first < router->count; first = next) {
		for (next = first + 1; next < router->count; next++)
			if (!same_group(&router->entries[first], &router->entries[next]))
				break;
		group_insert(router, first, next - first);
	}
}

int
router_new(const struct config *config, struct router **ret)
{
	struct router *router = calloc(1, sizeof(*router));
	size_t slots = 8;

	if (!router)
		return -ENOMEM;
	while (slots < config->route_count * 2)
		slots *= 2;
	router->count = config->route_count;
	router->mask = slots - 1;
	router->entries = calloc(router->count + 1, sizeof(*router->entries));
	router->slots = calloc(slots, sizeof(*router->slots));
	if (!router->entries || !router->slots) {
		router_free(&router);
		return -ENOMEM;
	}
	index_fill(router, config);
	*ret = router;
	return 0;
}

static bool
route_has_host(const struct config_route *route, const char *host)
{
	if (route->hosts.count == 0)
		return true;
	for (size_t i = 0; host && i < route->hosts.count; i++)
		if (glob_match(route->hosts.items[i], host, '.', true))
			return true;
	return false;
}

static bool
group_has_host(const struct router *router, const struct group *group, const char *host)
{
	for (size_t i = 0; group && i < group->count; i++)
		if (route_has_host(router->entries[group->first + i].route, host))
			return true;
	return false;
}

/* The group of the longest path that matches; every step costs one probe, none allocates. */
static const struct group *
group_of_path(const struct router *router, const char *path, const char *host)
{
	const struct group *best = NULL, *group;
	uint32_t hash = hash_start;
	size_t i;

	for (i = 0;; i++) {
		if ((path[i] == '/' || path[i] == '\0') && i <= router->prefix_max) {
			group = group_find(router, hash, path, i, true);
			if (group_has_host(router, group, host))
				best = group;
		}
		if (path[i] == '\0')
			break;
		hash = hash_add(hash, path[i]);
	}
	group = group_find(router, hash, path, i, false);
	return group_has_host(router, group, host) ? group : best;
}

static bool
route_has_method(const struct config_route *route, const char *method)
{
	bool is_head = strcmp(method, "HEAD") == 0;

	if (route->methods.count == 0)
		return true;
	for (size_t i = 0; i < route->methods.count; i++)
		if (strcmp(route->methods.items[i], method) == 0 ||
		    (is_head && strcmp(route->methods.items[i], "GET") == 0))
			return true;
	return false;
}

/* True if the comma-separated list holds the word. */
static bool
list_has(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += length)
		if ((p == list || p[-1] == ' ') && (p[length] == ',' || p[length] == '\0'))
			return true;
	return false;
}

static void
allow_add(char *allow, size_t size, const char *method)
{
	size_t used = strlen(allow);

	/* The configuration knows few methods, so that all fit; one that did not would be left out whole. */
	if (!list_has(allow, method) && used + strlen(method) + 3 <= size)
		(void) snprintf(allow + used, size - used, "%s%s", used ? ", " : "", method);
}

static void
allow_add_route(char *allow, size_t size, const struct config_route *route)
{
	for (size_t i = 0; i < route->methods.count; i++) {
		allow_add(allow, size, route->methods.items[i]);
		if (strcmp(route->methods.items[i], "GET") == 0)
			allow_add(allow, size, "HEAD");
	}
}

void
router_match(const struct router *router, const char *method, const char *host, const char *path,
	     const struct access_peer *peer, struct router_match *ret)
{
	const struct group *group = group_of_path(router, path, host);

	ret->outcome = ROUTER_NOT_FOUND;
	ret->route = NULL;
	ret->rule = NULL;
	ret->allow[0] = '\0';
	for (size_t i = 0; group && i < group->count; i++) {
		const struct config_route *route = router->entries[group->first + i].route;

		if (!route_has_host(route, host))
			continue;
		if (route_has_method(route, method)) {
			ret->outcome = access_decide(route, peer, &ret->rule) ? ROUTER_OK : ROUTER_DENIED;
			ret->route = route;
			ret->allow[0] = '\0';
			return;
		}
		ret->outcome = ROUTER_METHOD;
		if (!ret->route)
			ret->route = route;
		allow_add_route(ret->allow, sizeof(ret->allow), route);
	}
}

void
router_free(struct router **router)
{
	if (!router || !*router)
		return;
	free((*router)->entries);
	free((*router)->slots);
	free(*router);
	*router = NULL;
}
