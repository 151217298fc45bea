/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* badmagic - its descriptor does not begin as one; must not be loaded. */
#include "fixture.h"

static mtlsd_action
badmagic_request(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED)
{
	return MTLSD_FAIL;
}

MTLSD_PLUGIN = {
	.magic = UINT64_C(0x6465626f6e6f6e),
	.abi_major = MTLSD_ABI_MAJOR,
	.abi_minor = MTLSD_ABI_MINOR,
	.size = sizeof(mtlsd_plugin),
	.name = "badmagic",
	.version = "1.0",
	.summary = "must not be loaded",
	.flags = 0,
	.request = badmagic_request,
};
