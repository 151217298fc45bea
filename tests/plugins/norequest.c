/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* norequest - a descriptor without the one callback that is required; must not be loaded. */
#include "fixture.h"

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("norequest", "1.0", "must not be loaded"),
};
