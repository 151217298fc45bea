/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* log.h - one record to the journal (structured fields) or to stderr.
 *
 * Library layers never log: they return errors. The layer that decides logs, once.
 * Levels are syslog's (LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG).
 *
 * Threads: any, after log_open. Owns: nothing; fields are copied out before the call returns.
 */
#include "cleanup.h"

#include <stdbool.h>
#include <syslog.h>

struct log_field {
	const char *name;  /* journal field name, e.g. "MTLSD_PLUGIN"; NULL ends the list */
	const char *value; /* NULL: the field is left out */
};

/* Chooses the journal where stderr is connected to it (JOURNAL_STREAM) and stderr otherwise. */
void log_open(void);
/* For the last words of a process that could not start: from now on on stderr, plainly. The journal asks /proc who sent
 * it a record, and of who has ended by then it does not know the unit; of a stream it does. */
void log_last_words(void);

void log_set_level(int level);
int log_level(void);

/* "error", "warning", "notice", "info", "debug" to and from a level. Parse returns -EINVAL for other words. */
int log_level_parse(const char *word, int *ret_level);
const char *log_level_name(int level);

/* Writes one record if level is at or above the set level. fields may be NULL. Never blocks for long, keeps errno. */
void log_record(int level, const struct log_field *fields, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same at LOG_INFO, whatever level is set: the access log has a switch of its own. */
void log_access(const struct log_field *fields, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* What is told at LOG_NOTICE and above has a kind: event.h. */
#define log_info(...) log_record(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_record(LOG_DEBUG, NULL, __VA_ARGS__)

/* The list for log_record: LOG_FIELDS({"MTLSD_PLUGIN", name}, {"MTLSD_UID", uid}). */
#define LOG_FIELDS(...)                                                                                                \
	(const struct log_field[])                                                                                     \
	{                                                                                                              \
		__VA_ARGS__,                                                                                           \
		{                                                                                                      \
			NULL, NULL                                                                                     \
		}                                                                                                      \
	}
