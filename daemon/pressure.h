/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* pressure.h - tells when memory runs short: pressure stall information, or what systemd hands the service.
 *
 * Source: kernel documentation, accounting/psi (triggers; unprivileged ones need windows of whole 2 s); systemd's
 * memory pressure protocol (MEMORY_PRESSURE_WATCH, MEMORY_PRESSURE_WRITE; the path may be a PSI file or a FIFO).
 *
 * Threads: main thread. Owns: its event source and descriptor.
 */
#include "error.h"

#include <systemd/sd-event.h>

struct pressure;

/* Calls relieve(userdata) in the event loop while there is pressure, at most once a second. 0 with *ret NULL where
 * there is nothing to watch: no such file, or MEMORY_PRESSURE_WATCH=/dev/null. */
int pressure_watch(sd_event *event, void (*relieve)(void *userdata), void *userdata, struct pressure **ret,
		   struct error *error);
void pressure_free(struct pressure **pressure); /* accepts NULL */
