/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config-check.h"

#include <errno.h>
#include <string.h>

enum {
	NEAREST_MAX = 256,
	ROUTES_MAX = 65534, /* escapes are booked by a 16-bit route number */
};

/* Requests come percent-decoded and without ".", ".." and "//": a route with them could never match. */
static const char *
path_trouble(const char *path)
{
	if (path[0] != '/')
		return "does not start with \"/\"; write it so";
	if (strchr(path, '%'))
		return "holds \"%\"; write the decoded byte itself";
	if (strchr(path, '?') || strchr(path, '#'))
		return "holds a query or fragment; routes look at the path only";
	if (strchr(path, '*'))
		return "holds \"*\"; use prefix for everything below a path";
	if (strstr(path, "//"))
		return "holds \"//\"; requests never do, write one \"/\"";
	if (config_has_control_byte(path))
		return "holds a control byte; remove it";
	for (const char *p = path; p; p = strchr(p + 1, '/')) {
		size_t n = strcspn(p + 1, "/");

		if ((n == 1 && p[1] == '.') || (n == 2 && p[1] == '.' && p[2] == '.'))
			return "holds a \".\" or \"..\" segment; requests never do, write the path without";
	}
	return NULL;
}

static void
path_check(struct schema_reader *reader, const struct config_route *route)
{
	const char *key = route->path ? "path" : "prefix";
	const char *path = route->path ? route->path : route->prefix;
	const char *trouble;

	if (route->path && route->prefix) {
		(void) schema_mistake(reader, config_place(route->node, "prefix"),
				      "a route has either path (this path only) or prefix (and all below); remove one");
		return;
	}
	if (!path) {
		if (!yaml_get(route->node, "path") && !yaml_get(route->node, "prefix"))
			(void) schema_mistake(reader, route->node,
					      "a route needs path (this path only) or prefix (and all below); add one");
		return;
	}
	trouble = path_trouble(path);
	if (trouble)
		(void) schema_mistake(reader, config_place(route->node, key), "%s \"%.80s\" %s", key, path, trouble);
}

static void
hosts_check(struct schema_reader *reader, const struct config_route *route)
{
	for (size_t i = 0; i < route->hosts.count; i++) {
		const char *host = route->hosts.items[i];
		const char *colon = strrchr(host, ':');

		if (strpbrk(host, "/@ ") || config_has_control_byte(host))
			(void) schema_mistake(reader, config_place(route->node, "hosts"),
					      "\"%.80s\" is no host; write the bare name, such as api.example.org",
					      host);
		else if (colon && !strchr(colon, ']'))
			(void) schema_mistake(
				reader, config_place(route->node, "hosts"),
				"host \"%.80s\" has a port; write the name alone, ports are not looked at (IPv6: "
				"[::1])",
				host);
		else
			config_check_pattern(reader, route->node, "hosts", host);
	}
}

/* The lists of names a route may use, made once. */
struct plugin_names {
	const struct config *config;
	const char *names[NEAREST_MAX + 1];
};

static const struct config_plugin *
plugin_find(struct schema_reader *reader, const struct plugin_names *known, const struct yaml_node *place,
	    const char *name)
{
	const struct config *config = known->config;
	const char *nearest;

	for (size_t i = 0; i < config->plugin_count; i++)
		if (config->plugins[i].name && strcmp(config->plugins[i].name, name) == 0)
			return &config->plugins[i];
	nearest = schema_nearest(name, known->names);
	if (nearest)
		(void) schema_mistake(reader, place, "unknown plugin \"%.64s\"; did you mean \"%s\"?", name, nearest);
	else
		(void) schema_mistake(reader, place, "unknown plugin \"%.64s\"; add it to the plugins list", name);
	return NULL;
}

static int
plugins_resolve(struct schema_reader *reader, const struct plugin_names *known, struct config_route *route)
{
	const struct yaml_node *filters = yaml_get(route->node, "filters");

	if (route->handler_name)
		route->handler = plugin_find(reader, known, config_place(route->node, "handler"), route->handler_name);
	if (route->filter_names.count == 0)
		return 0;
	route->filters = calloc(route->filter_names.count, sizeof(const struct config_plugin *));
	if (!route->filters)
		return -ENOMEM;
	for (size_t i = 0; i < route->filter_names.count; i++) {
		/* Names that were refused are not in the list; then the items no longer stand side by side. */
		bool is_aligned = filters->kind == YAML_LIST && filters->count == route->filter_names.count;
		const struct yaml_node *place = is_aligned ? filters->values[i] : filters;
		const struct config_plugin *plugin = plugin_find(reader, known, place, route->filter_names.items[i]);

		for (size_t k = 0; plugin && k < route->filter_count; k++)
			if (route->filters[k] == plugin)
				(void) schema_mistake(reader, place,
						      "filter \"%s\" stands twice in this route; remove one of the two",
						      plugin->name);
		if (plugin)
			route->filters[route->filter_count++] = plugin;
	}
	return 0;
}

/* True if both lists hold a word; an empty list stands for all words. */
static bool
lists_meet(const struct schema_strings *a, const struct schema_strings *b)
{
	if (a->count == 0 || b->count == 0)
		return true;
	for (size_t i = 0; i < a->count; i++)
		for (size_t k = 0; k < b->count; k++)
			if (strcasecmp(a->items[i], b->items[k]) == 0)
				return true;
	return false;
}

/* What a route matches by, as the router takes it. */
struct matched {
	const struct config_route *route;
	const char *path;
	size_t length; /* of a prefix without its trailing '/': /api/ and /api are one */
};

static struct matched
matched_of(const struct config_route *route)
{
	struct matched matched = {.route = route, .path = route->path ? route->path : route->prefix};

	matched.length = strlen(matched.path);
	if (route->prefix && matched.length > 0 && matched.path[matched.length - 1] == '/')
		matched.length--;
	return matched;
}

static int
path_compare(const struct matched *a, const struct matched *b)
{
	if (!a->route->path != !b->route->path)
		return a->route->path ? -1 : 1;
	if (a->length != b->length)
		return a->length < b->length ? -1 : 1;
	return memcmp(a->path, b->path, a->length);
}

static int
matched_compare(const void *a, const void *b)
{
	const struct matched *left = a, *right = b;
	int order = path_compare(left, right);

	return order ? order : (left->route->index > right->route->index) - (left->route->index < right->route->index);
}

/* True if some request matches both, so that their order alone would say who may. Routes with hosts come first whatever
 * their place; different patterns for hosts may still meet, then the file's order counts (router.h). */
static bool
is_same_match(const struct config_route *a, const struct config_route *b)
{
	return (a->hosts.count == 0) == (b->hosts.count == 0) && lists_meet(&a->hosts, &b->hosts) &&
	       lists_meet(&a->methods, &b->methods);
}

static void
same_match_mistake(struct schema_reader *reader, const struct matched *matched, const struct config_route *other)
{
	const char *key = matched->route->path ? "path" : "prefix";

	(void) schema_mistake(
		reader, config_place(matched->route->node, key),
		"%s %.200s is that of the route of line %d, for the same hosts and methods; join the two, or "
		"give each methods or hosts of its own",
		key, matched->path, other->node->line);
}

static int
matches_check(struct schema_reader *reader, const struct config *config)
{
	CLEANUP_FREE struct matched *sorted = calloc(config->route_count + 1, sizeof(*sorted));
	size_t count = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < config->route_count; i++)
		if (!config->routes[i].path != !config->routes[i].prefix)
			sorted[count++] = matched_of(&config->routes[i]);
	qsort(sorted, count, sizeof(*sorted), matched_compare);
	for (size_t i = 1; i < count; i++) {
		for (size_t k = i; k > 0 && path_compare(&sorted[k - 1], &sorted[i]) == 0; k--) {
			if (is_same_match(sorted[k - 1].route, sorted[i].route)) {
				same_match_mistake(reader, &sorted[i], sorted[k - 1].route);
				break;
			}
		}
	}
	return 0;
}

int
config_check_routes(struct schema_reader *reader, struct config *config)
{
	struct plugin_names known = {.config = config};
	int r = 0;

	for (size_t i = 0, used = 0; i < config->plugin_count && used < NEAREST_MAX; i++)
		if (config->plugins[i].name)
			known.names[used++] = config->plugins[i].name;
	if (config->route_count > ROUTES_MAX)
		(void) schema_mistake(reader, config->routes[ROUTES_MAX].node,
				      "more than %d routes; use prefixes to join some", ROUTES_MAX);
	for (size_t i = 0; i < config->route_count && r == 0; i++) {
		struct config_route *route = &config->routes[i];

		if (route->node->kind != YAML_MAP)
			continue; /* said already; nothing in it to look at */
		path_check(reader, route);
		hosts_check(reader, route);
		r = config_check_rules(reader, route);
		if (r == 0)
			r = plugins_resolve(reader, &known, route);
	}
	return r < 0 ? r : matches_check(reader, config);
}
