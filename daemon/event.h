/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* event.h - what happens to plugins by itself, each kind with a MESSAGE_ID and a catalog entry; THE table.
 *
 * etc/mtlsd.catalog is printed from the table, never written by hand.
 *
 * Threads: any. Owns: nothing.
 */
#include <stdint.h>
#include <stdio.h>

enum event_kind {
	EVENT_SUSPECT,
	EVENT_LIKELY,
	EVENT_CONFIRMED,
	EVENT_CLEARED, /* was suspect or more, is not any more */
	EVENT_OTHER,   /* cache growth, client state, fragmentation, growing buffer */
	EVENT_PROBE_BEGUN,
	EVENT_PROBE_ENDED,
	EVENT_DUMPED,
	EVENT_EVICTED,
	EVENT_RESTARTED,
	EVENT_RESTART_FAILED,
	EVENT_RESTART_PLANNED,
	EVENT_LOOP_STOPPED, /* restarts take back too little: the leak is elsewhere */
	EVENT_BUDGET_SPENT,
	EVENT_BREAKER_OPEN,
	EVENT_BREAKER_HALF_OPEN,
	EVENT_BREAKER_CLOSED,
	EVENT_SOFT_LIMIT,
	EVENT_PRESSURE,
	EVENT_KINDS,
};

struct event_row {
	const char *word;       /* "confirmed" */
	const char *message_id; /* 32 hex digits */
	int level;              /* syslog */
	const char *subject;    /* of the catalog entry */
	const char *text;       /* its body: what it means and what to do */
};
const struct event_row *event_row(enum event_kind kind);
/* One journal record: MESSAGE_ID, MTLSD_PLUGIN, MTLSD_INSTANCE, MTLSD_VERDICT (may be NULL). */
void event_record(enum event_kind kind, const char *plugin, uint64_t instance, const char *verdict, const char *text);
void event_print_catalog(FILE *out);
