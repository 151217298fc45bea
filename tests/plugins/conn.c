/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conn - counts requests a connection in data attached to it; release hooks are counted and traced.
 *
 * Answers the number of the request on its connection. A path that ends in /again replaces the data first.
 */
#include "fixture.h"

#include <stdlib.h>

struct visit {
	unsigned long long number;
	unsigned requests;
};

static const mtlsd_host *host;
static mtlsd_instance *self;
static const char *trace;
static unsigned long long visits;
static int made, released;

static const mtlsd_option options[] = {
	{.name = "trace", .type = MTLSD_OPTION_STRING, .max = 4096, .help = "File that is told of every step."},
	{.name = NULL},
};

static int
conn_init(const mtlsd_host *given, mtlsd_instance *instance, const mtlsd_config *config, void **user FIXTURE_UNUSED,
	  char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	self = instance;
	trace = host->config_string(config, "trace");
	made = host->counter(self, "made", "connection data made");
	released = host->counter(self, "released", "connection data released");
	return 0;
}

static void
visit_release(void *data)
{
	struct visit *visit = data;

	fixture_trace(trace, "released", visit->number);
	host->count(self, released, 1);
	free(visit);
}

static mtlsd_action
conn_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	struct visit *visit = host->connection_data(request);
	char text[32];

	if (!visit || fixture_ends_with(host->path(request), "/again")) {
		visit = malloc(sizeof(*visit));
		if (!visit)
			return MTLSD_FAIL;
		*visit = (struct visit){.number = ++visits};
		if (host->set_connection_data(request, visit, visit_release) < 0) {
			free(visit);
			return MTLSD_FAIL;
		}
		host->count(self, made, 1);
		fixture_trace(trace, "made", visit->number);
	}
	snprintf(text, sizeof(text), "%u\n", ++visit->requests);
	return fixture_answer(host, request, 200, text);
}

static void
conn_fini(void *user FIXTURE_UNUSED)
{
	fixture_trace(trace, "fini", visits);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("conn", "1.0", "keeps data with the connection"),
	.options = options,
	.init = conn_init,
	.request = conn_request,
	.fini = conn_fini,
};
