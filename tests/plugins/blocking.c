/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* blocking - blocks the pool thread it runs on until the `gate` file exists, or the request is cancelled and `heed` is
 * on. A path that ends in /quick does not wait. So a test holds every thread of the pool for as long as it likes.
 */
#include "fixture.h"

static const mtlsd_host *host;
static mtlsd_instance *self;
static const char *gate;
static int heed, started, passed, gave_up, outcomes[2];

static const mtlsd_option options[] = {
	{.name = "gate", .type = MTLSD_OPTION_STRING, .max = 4096, .help = "Wait until this file exists."},
	{.name = "heed", .type = MTLSD_OPTION_BOOL, .fallback = "yes", .help = "Give up when cancelled."},
	{.name = NULL},
};

static int
blocking_init(const mtlsd_host *given, mtlsd_instance *instance, const mtlsd_config *config,
	      void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	self = instance;
	gate = host->config_string(config, "gate");
	heed = host->config_int(config, "heed") != 0;
	started = host->counter(self, "started", "requests a pool thread took");
	passed = host->counter(self, "passed", "requests that found the gate open");
	gave_up = host->counter(self, "gave_up", "requests that were cancelled while they waited");
	outcomes[MTLSD_SENT] = host->counter(self, "done_sent", "answers sent");
	outcomes[MTLSD_ABORTED] = host->counter(self, "done_aborted", "answers that were not sent");
	return 0;
}

static mtlsd_action
blocking_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	host->count(self, started, 1);
	if (!fixture_ends_with(host->path(request), "/quick"))
		while (!fixture_open(gate)) {
			if (heed && host->cancelled(request)) {
				host->count(self, gave_up, 1);
				return MTLSD_FAIL;
			}
			fixture_rest();
		}
	host->count(self, passed, 1);
	return fixture_answer(host, request, 200, "through\n");
}

static void
blocking_done(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED, mtlsd_outcome outcome)
{
	host->count(self, outcomes[outcome], 1);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("blocking", "1.0", "blocks until a gate opens"),
	.flags = MTLSD_CONCURRENT | MTLSD_BLOCKING | MTLSD_OVERLAP,
	.options = options,
	.init = blocking_init,
	.request = blocking_request,
	.done = blocking_done,
};
