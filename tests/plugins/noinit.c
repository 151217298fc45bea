/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* noinit - its init fails with a sentence.
 *
 * With `fail_when` it fails only while that file exists, so that a serving instance can be followed by one that fails.
 */
#include "fixture.h"

#include <errno.h>

static const mtlsd_host *host;

static const mtlsd_option options[] = {
	{.name = "fail_when", .type = MTLSD_OPTION_STRING, .max = 4096,
	 .help = "Fail only while this file exists; without it, always."},
	{.name = NULL},
};

static int
noinit_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config,
	    void **user FIXTURE_UNUSED, char *error, size_t error_size)
{
	host = given;
	if (!fixture_open(host->config_string(config, "fail_when")))
		return 0;
	snprintf(error, error_size, "the tide table could not be read");
	return -ENOENT;
}

static mtlsd_action
noinit_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	return fixture_answer(host, request, 200, "noinit\n");
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("noinit", "1.0", "fails at init"),
	.flags = MTLSD_CONCURRENT,
	.options = options,
	.init = noinit_init,
	.request = noinit_request,
};
