/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* explain.h - a verdict with all its reasons, as a reply and as it is shown: for the daemon, and for mtlsctl's replay.
 *
 * Threads: any. Owns: nothing.
 */
#include "command.h"
#include "verdict.h"

struct explain_place {
	char function[128], place[200]; /* "leak.c:42" */
};

struct explain_case {
	const char *plugin; /* NULL: not known */
	uint64_t instance;
	uint64_t judged; /* CLOCK_REALTIME seconds; 0: not known */
	const struct verdict *verdict;
	const char *sentence;
	const char *phase;                   /* of the probe under way; NULL: there can be none */
	const struct verdict_probes *probes; /* NULL: none */
	const struct explain_place *places;  /* of the verdict's sites; NULL: not known */
	json_t *history;                     /* rows of overseer_history; stolen; NULL: none */
};

/* NULL: out of memory. */
json_t *explain_reply(const struct explain_case *subject);
/* What is short enough for a line: outcome, class, rate, time to limit. NULL: out of memory. */
json_t *explain_verdict(const struct verdict *verdict);
/* What grows would be a leak if the verdict is sure enough: no cache, no state of clients, no fragmentation. */
bool explain_may_leak(const struct verdict *verdict);
/* A leak, as sure as it can be had: what the exit code says. can_probe: whether likely could become confirmed. */
bool explain_is_leak(const struct verdict *verdict, bool can_probe);

extern const char explain_interface[]; /* the reply's fields */
extern const struct command_block explain_blocks[];
