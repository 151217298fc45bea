/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* badabi - built against another major version of the interface; must not be loaded. */
#include "fixture.h"

static mtlsd_action
badabi_request(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED)
{
	return MTLSD_FAIL;
}

MTLSD_PLUGIN = {
	.magic = MTLSD_MAGIC,
	.abi_major = 99,
	.abi_minor = MTLSD_ABI_MINOR,
	.size = sizeof(mtlsd_plugin),
	.name = "badabi",
	.version = "1.0",
	.summary = "must not be loaded",
	.flags = 0,
	.request = badabi_request,
};
