/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sick - starts, but its health check fails with a sentence; with `sick_when` only while that file exists. */
#include "fixture.h"

#include <errno.h>

static const mtlsd_host *host;
static const char *sick_when;

static const mtlsd_option options[] = {
	{.name = "sick_when", .type = MTLSD_OPTION_STRING, .max = 4096,
	 .help = "Be sick only while this file exists; without it, always."},
	{.name = "trace", .type = MTLSD_OPTION_STRING, .max = 4096, .help = "File that is told of fini."},
	{.name = NULL},
};
static const char *trace;

static int
sick_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config,
	  void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	sick_when = host->config_string(config, "sick_when");
	trace = host->config_string(config, "trace");
	return 0;
}

static int
sick_health(void *user FIXTURE_UNUSED, char *error, size_t error_size)
{
	if (!fixture_open(sick_when))
		return 0;
	snprintf(error, error_size, "the thermometer reads forty");
	return -EIO;
}

static mtlsd_action
sick_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	return fixture_answer(host, request, 200, "well\n");
}

static void
sick_fini(void *user FIXTURE_UNUSED)
{
	fixture_trace(trace, "fini", 0);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("sick", "1.0", "fails its health check"),
	.flags = MTLSD_CONCURRENT | MTLSD_OVERLAP,
	.options = options,
	.init = sick_init,
	.health = sick_health,
	.request = sick_request,
	.fini = sick_fini,
};
