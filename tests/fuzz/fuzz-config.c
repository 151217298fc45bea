/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz-config.c - any bytes as a configuration file: a snapshot, or a message with a place; never both, never neither.
 */
#include "config.h"
#include "router.h"

#include <string.h>

/* Somebody with a name of every kind, so that every kind of rule is asked. */
static const char *const names[] = {"spiffe://example.org/a", NULL}, *const hosts[] = {"a.example.org", NULL},
			 *const mails[] = {"a@example.org", NULL}, *const addresses[] = {"192.0.2.1", NULL},
			 *const purposes[] = {"1.3.6.1.5.5.7.3.2", NULL};
static const struct identity somebody = {
	.subject = "CN=a,O=b",
	.issuer = "CN=ca",
	.serial = "01",
	.spki_sha256 = "aa",
	.certificate_sha256 = "bb",
	.san = {names, hosts, mails, addresses},
	.purposes = purposes,
};

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
			const char *path = route->path ? route->path : route->prefix;
			router_match(router, "GET", NULL, path, &(struct access_peer){NULL, NULL}, &match);
			assert(match.outcome != ROUTER_OK);
			router_match(router, "GET", NULL, path, &(struct access_peer){&somebody, "192.0.2.1"}, &match);
			assert(match.outcome != ROUTER_NOT_FOUND || match.route == NULL);
		}
		router_free(&router);
	}
	config_unref(&config);
	free(mistakes);
	return 0;
}
