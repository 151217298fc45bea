/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* badminor - built against a newer minor version than the daemon's; must not be loaded. */
#include "fixture.h"

static mtlsd_action
badminor_request(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED)
{
	return MTLSD_FAIL;
}

MTLSD_PLUGIN = {
	.magic = MTLSD_MAGIC,
	.abi_major = MTLSD_ABI_MAJOR,
	.abi_minor = 99,
	.size = sizeof(mtlsd_plugin),
	.name = "badminor",
	.version = "1.0",
	.summary = "must not be loaded",
	.flags = 0,
	.request = badminor_request,
};
