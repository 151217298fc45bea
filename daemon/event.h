/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* event.h - what an operator may want to be told, each kind with a MESSAGE_ID and a catalog entry; THE table.
 *
 * Every record at LOG_NOTICE and above is one of these; only what plugins say has a level of their choice and no kind.
 * etc/mtlsd.catalog is printed from the table, never written by hand, and mtlsd(8) lists what stands there.
 *
 * Threads: any. Owns: nothing.
 */
#include "log.h"

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
	/* From here on not of one plugin, and not in its history. */
	EVENT_DOWN,
	EVENT_BAD_FREE,
	EVENT_BAD_FREE_PLACE,
	EVENT_POLICY_CHANGED,
	EVENT_CLIENT_CUT,
	EVENT_CLIENT_REFUSED,
	EVENT_ACCESS_DENIED,
	EVENT_CREDENTIALS_CHANGED,
	EVENT_CREDENTIALS_REFUSED,
	EVENT_CREDENTIALS_UNWATCHED,
	EVENT_EXPIRES,
	EVENT_EXPIRED,
	EVENT_CONFIGURED,
	EVENT_CONFIGURATION_REFUSED,
	EVENT_MISTAKE,
	EVENT_CHANGED, /* by an operator */
	EVENT_CHANGE_FAILED,
	EVENT_CHANGE_DENIED,
	EVENT_CONTROL_FULL,
	EVENT_RECORDS_LOST,
	EVENT_DEGRADED,
	EVENT_NONCES,
	EVENT_SOCKETS_CLOSED,
	EVENT_DRAINING,
	EVENT_ENDED,
	EVENT_FAILED,
	EVENT_KINDS,
};

struct event_row {
	const char *word;       /* "confirmed" */
	const char *message_id; /* 32 hex digits */
	int level;              /* syslog */
	unsigned a_second;      /* at most; 0: as often as it happens. For what strangers or plugins can provoke */
	const char *subject;    /* of the catalog entry */
	const char *text;       /* its body: what it means and what to do */
};
const struct event_row *event_row(enum event_kind kind);
/* One record at the kind's level, with its MESSAGE_ID before the fields (NULL: none). */
void event_log(enum event_kind kind, const struct log_field *fields, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same of a plugin: MESSAGE_ID, MTLSD_PLUGIN, MTLSD_INSTANCE, MTLSD_VERDICT (may be NULL). */
void event_record(enum event_kind kind, const char *plugin, uint64_t instance, const char *verdict, const char *text);
void event_print_catalog(FILE *out);
