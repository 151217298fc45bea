/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* badflags - asks by a flag for what this daemon does not know; must not be loaded. */
#include "fixture.h"

static mtlsd_action
badflags_request(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED)
{
	return MTLSD_FAIL;
}

MTLSD_PLUGIN = {
	.magic = MTLSD_MAGIC,
	.abi_major = MTLSD_ABI_MAJOR,
	.abi_minor = MTLSD_ABI_MINOR,
	.size = sizeof(mtlsd_plugin),
	.name = "badflags",
	.version = "1.0",
	.summary = "must not be loaded",
	.flags = 1u << 30,
	.request = badflags_request,
};
