/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* badname - its name is none; must not be loaded. */
#include "fixture.h"

static mtlsd_action
badname_request(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED)
{
	return MTLSD_FAIL;
}

MTLSD_PLUGIN = {
	.magic = MTLSD_MAGIC,
	.abi_major = MTLSD_ABI_MAJOR,
	.abi_minor = MTLSD_ABI_MINOR,
	.size = sizeof(mtlsd_plugin),
	.name = "Bad Name!",
	.version = "1.0",
	.summary = "must not be loaded",
	.flags = 0,
	.request = badname_request,
};
