/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crashy - writes where nothing is when the path ends in /crash. In process this takes the daemon with it. */
#include "fixture.h"

static const mtlsd_host *host;
static int *volatile nowhere;

static int
crashy_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config FIXTURE_UNUSED,
	    void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	return 0;
}

static mtlsd_action
crashy_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	if (fixture_ends_with(host->path(request), "/crash"))
		*nowhere = 1;
	return fixture_answer(host, request, 200, "alive\n");
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("crashy", "1.0", "crashes on demand"),
	.flags = MTLSD_CONCURRENT,
	.init = crashy_init,
	.request = crashy_request,
};
