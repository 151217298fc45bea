/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* doctor.h - what is wrong with the plugins and the daemon, as sentences, from facts that somebody else gathered.
 *
 * Every check is a row of one table: its name, its function, the command to run next. A check looks at one plugin or at
 * the daemon as a whole and finds something or nothing.
 *
 * Threads: any. Owns: nothing; findings are plain values.
 */
#include "overseer.h"
#include "supervisor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DOCTOR_PLACE = 280, DOCTOR_EXPIRIES = 64 };

/* What requests that ended badly left behind at one place where those that ended well leave nothing. */
struct doctor_escape {
	char route[64], at[DOCTOR_PLACE];
	const char *status; /* "5xx" */
	uint64_t bytes, requests;
};

struct doctor_plugin {
	struct supervisor_plugin plugin;
	bool watch;   /* by its settings */
	bool watched; /* view is there */
	struct overseer_view view;
	bool can_probe;                                        /* an evict hook, and probes allowed */
	bool probe_allowed;                                    /* by its settings */
	char stopped[400];                                     /* why restarts for a leak were; "" they were not */
	char refused_at[DOCTOR_PLACE], fault_at[DOCTOR_PLACE]; /* "leak_keep (leak.c:42)", "" unknown */
	struct doctor_escape escape;                           /* the worst; bytes 0: none */
	struct nonces_report nonces;
};

struct doctor_daemon {
	uint64_t now; /* CLOCK_REALTIME seconds */
	bool heap_layer;
	const char *http_library; /* libmicrohttpd's version, "0.9.75" */
	bool credentials;         /* certificates or keys come from LoadCredential= */
	uint64_t machine_bytes;   /* memory the process may have; 0: not known */
	size_t plugins;
	uint64_t hard_limits; /* of all plugins together */
	size_t expiry_count;
	/* What of the sets in force ends soon or has ended; copied. */
	struct doctor_expiry {
		char set[64], name[160];
		const char *what; /* as tls_expiry: "certificate", "client_ca", "client_crl", "ocsp" */
		uint64_t until;   /* CLOCK_REALTIME seconds */
	} expiries[DOCTOR_EXPIRIES];
};

enum doctor_severity { DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_BAD };
const char *doctor_severity_name(enum doctor_severity severity);

struct doctor_finding {
	enum doctor_severity severity;
	const char *check;  /* name of the row */
	char plugin[32];    /* "": the daemon as a whole */
	char sentence[700]; /* without the plugin's name and without a full stop */
	char next[160];     /* the command to run; "" where none helps */
	bool leak;          /* a leak, as sure as it can be had */
};

/* Room for what one plugin, or the daemon, can have at most. */
enum { DOCTOR_FINDINGS = 32 };
/* Returns how many there are. */
size_t doctor_check_plugin(const struct doctor_plugin *plugin, struct doctor_finding ret[DOCTOR_FINDINGS]);
size_t doctor_check_daemon(const struct doctor_daemon *daemon, struct doctor_finding ret[DOCTOR_FINDINGS]);
/* The worst first; what is equally bad in the table's order, then by plugin. */
void doctor_sort(struct doctor_finding *findings, size_t count);
/* The names of all checks, in order; NULL past the end. */
const char *doctor_check_name(size_t index);
