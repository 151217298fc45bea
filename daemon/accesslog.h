/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* accesslog.h - one record a request, to the journal or a file, written by a thread of its own.
 *
 * Whoever serves leaves a copy in a buffer and goes on: nothing of it waits for a disk or a reader. What does not fit,
 * comes faster than the configured rate, or cannot be written is counted, and told once a minute. Bodies, header fields
 * (but Referer and User-Agent) and, unless asked for, queries are never written: they may hold secrets.
 *
 * Source: the combined format is the Apache HTTP server's. Texts are escaped: control bytes, quotes and backslashes as
 * \xHH in the combined format.
 *
 * Threads: accesslog_write from any; the rest on the main thread. Owns: its file, its buffers, its thread.
 */
#include "config.h"
#include "error.h"

#include <stdbool.h>
#include <stdint.h>

struct accesslog;

/* What a record tells. Texts may be NULL. */
enum accesslog_text {
	ACCESSLOG_ADDRESS,
	ACCESSLOG_SUBJECT,
	ACCESSLOG_METHOD,
	ACCESSLOG_TARGET, /* as sent; its query is cut off unless the settings ask for it */
	ACCESSLOG_VERSION,
	ACCESSLOG_HOST,
	ACCESSLOG_REFERER,
	ACCESSLOG_AGENT,
	ACCESSLOG_ROUTE,
	ACCESSLOG_PLUGIN,
	ACCESSLOG_TLS,
	ACCESSLOG_TEXTS,
};

struct accesslog_entry {
	int64_t began;     /* CLOCK_REALTIME microseconds */
	uint64_t duration; /* microseconds */
	uint64_t bytes;    /* of the answer's body */
	uint64_t instance; /* 0: none */
	int status;
	bool aborted; /* the answer did not go out whole */
	const char *text[ACCESSLOG_TEXTS];
};

struct accesslog_counts {
	uint64_t written, dropped; /* dropped: no room, too fast, or not to be written */
};

/* Off until accesslog_apply. */
int accesslog_new(struct accesslog **ret);
/* Takes up settings; opens the file anew, so that a reload ends the rotation of a log. On failure nothing changed. */
int accesslog_apply(struct accesslog *log, const struct config_access_log *settings, struct error *error);
/* Cheap where it is off: look before you gather. */
bool accesslog_is_on(const struct accesslog *log);
void accesslog_write(struct accesslog *log, const struct accesslog_entry *entry);
void accesslog_counts(const struct accesslog *log, struct accesslog_counts *ret);
/* Writes what is waiting; accepts NULL. */
void accesslog_free(struct accesslog **log);

/* accesslog-format.c: the record as one line with its end, in memory of the caller's to free. */
int accesslog_combined(const struct accesslog_entry *entry, char **ret, size_t *ret_length);
int accesslog_json(const struct accesslog_entry *entry, char **ret, size_t *ret_length);
void accesslog_journal(const struct accesslog_entry *entry);
