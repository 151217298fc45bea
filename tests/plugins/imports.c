/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imports - calls what a plugin must not call (setenv, exit); refused at load unless the configuration allows both. */
#include "fixture.h"

#include <stdlib.h>

static const mtlsd_host *host;

static int
imports_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config FIXTURE_UNUSED,
	     void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	return 0;
}

static mtlsd_action
imports_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	const char *query = host->query(request);

	if (query && strcmp(query, "setenv") == 0)
		setenv("MTLSD_FIXTURE_IMPORTS", "1", 1);
	if (query && strcmp(query, "exit") == 0)
		exit(3);
	return fixture_answer(host, request, 200, "imports\n");
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("imports", "1.0", "imports what plugins must not call"),
	.init = imports_init,
	.request = imports_request,
};
