/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reconf - takes new settings without a new instance. Answers "GREETING COUNT"; a count that goes on proves that the
 * instance is the old one.
 *
 * A greeting that begins with "refuse" is refused by reconfigure, one that begins with "replace" asks for a new
 * instance, one that begins with "forbidden" is refused by check already.
 */
#include "fixture.h"

#include <errno.h>

static const mtlsd_host *host;
/* Belongs to the settings of the day. No MTLSD_OVERLAP, so no request reads it while reconfigure changes it. */
static const char *greeting;
static unsigned long long number;

static const mtlsd_option options[] = {
	{.name = "greeting", .type = MTLSD_OPTION_STRING, .required = 1, .min = 1, .max = 100, .help = "What to say."},
	{.name = NULL},
};

static int
reconf_check(const mtlsd_host *given, const mtlsd_config *config, char *error, size_t error_size)
{
	if (strncmp(given->config_string(config, "greeting"), "forbidden", 9) != 0)
		return 0;
	snprintf(error, error_size, "that greeting is forbidden; choose a friendlier one");
	return -EINVAL;
}

static int
reconf_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config,
	    void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	greeting = host->config_string(config, "greeting");
	return 0;
}

static int
reconf_reconfigure(void *user FIXTURE_UNUSED, const mtlsd_config *config, char *error, size_t error_size)
{
	const char *wanted = host->config_string(config, "greeting");

	if (strncmp(wanted, "replace", 7) == 0)
		return -EOPNOTSUPP;
	if (strncmp(wanted, "refuse", 6) == 0) {
		snprintf(error, error_size, "that greeting cannot be taken while running");
		return -EBUSY;
	}
	greeting = wanted;
	return 0;
}

static mtlsd_action
reconf_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	char text[160];

	snprintf(text, sizeof(text), "%s %llu\n", greeting, __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED));
	return fixture_answer(host, request, 200, text);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("reconf", "1.0", "takes new settings while it runs"),
	.flags = MTLSD_CONCURRENT,
	.options = options,
	.check = reconf_check,
	.init = reconf_init,
	.reconfigure = reconf_reconfigure,
	.request = reconf_request,
};
