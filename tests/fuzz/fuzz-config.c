/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz-config.c - any bytes as a configuration file: a snapshot, or a message with a place; never both, never neither.
 */
#include "config.h"
#include "router.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL;
	struct router *router = NULL;
	char *mistakes = NULL;
	int r = config_load_text("/f.yaml", (const char *) data, size, &config, &mistakes);

	assert((r == 0) == (config != NULL) && (r == 0) == (mistakes == NULL));
	if (mistakes) {
		assert(strncmp(mistakes, "/f.yaml:", 8) == 0);
		for (char *line = strtok(mistakes, "\n"); line; line = strtok(NULL, "\n"))
			assert(error_clean_span(line) == strlen(line));
	}
	/* What is taken can be indexed, and answers any request. */
	if (config && router_new(config, &router) == 0) {
		struct router_match match;

		for (size_t i = 0; i < config->route_count; i++) {
			const struct config_route *route = &config->routes[i];

			assert(route->allow_count > 0 && route->handler);
			router_match(router, "GET", NULL, route->path ? route->path : route->prefix, NULL, &match);
			assert(match.outcome != ROUTER_OK);
		}
		router_free(&router);
	}
	config_unref(&config);
	free(mistakes);
	return 0;
}
