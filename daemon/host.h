/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* host.h - the services plugins call: the table behind mtlsd_host.
 *
 * Every service that may allocate switches to the daemon's memory on entry, so that nothing the daemon keeps lies in a
 * plugin's heap.
 *
 * Threads: as mtlsd/plugin.h says. Owns: nothing.
 */
#include "mtlsd/plugin.h"

#include <jansson.h>

const mtlsd_host *host_table(void);

/* What a dump callback writes to: a JSON object of names and words or numbers. */
struct words {
	json_t *object;
};
