/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The journal's own socket needs this before its header: no CODE_FILE fields, which would name this file every time. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

enum {
	LOG_TEXT_MAX = 2048,
	LOG_LINE_MAX = 4096, /* PIPE_BUF: one write, whole lines even from several threads */
	LOG_FIELDS_MAX = 16,
	LOG_FIELD_MAX = 1024,
	LOG_WAIT_MS = 100, /* a reader that stands still costs us its records, not our time */
};

static atomic_int log_threshold = LOG_INFO;
static atomic_bool log_to_journal;
static atomic_bool log_plainly;  /* stderr is the journal's, and is to be used all the same */
static atomic_bool log_is_stuck; /* the reader of stderr stood still at the last record: the next waits no longer */

static const struct {
	int level;
	const char *name;
} log_levels[] = {
	{LOG_ERR, "error"}, {LOG_WARNING, "warning"}, {LOG_NOTICE, "notice"}, {LOG_INFO, "info"}, {LOG_DEBUG, "debug"},
};

void
log_open(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat status;

	/* systemd.exec(5): the variable alone proves nothing, a child may have redirected its stderr. */
	log_to_journal = stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
			 fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

void
log_last_words(void)
{
	if (log_to_journal)
		log_plainly = true;
	log_to_journal = false;
}

void
log_set_level(int level)
{
	log_threshold = level;
}

int
log_level(void)
{
	return log_threshold;
}

int
log_level_parse(const char *word, int *ret_level)
{
	for (size_t i = 0; i < ARRAY_LENGTH(log_levels); i++)
		if (strcmp(word, log_levels[i].name) == 0) {
			*ret_level = log_levels[i].level;
			return 0;
		}
	return -EINVAL;
}

const char *
log_level_name(int level)
{
	for (size_t i = 0; i < ARRAY_LENGTH(log_levels); i++)
		if (level <= log_levels[i].level)
			return log_levels[i].name;
	return "debug";
}

static int
log_send_journal(int level, const struct log_field *fields, const char *text)
{
	char priority[] = {'P', 'R', 'I', 'O', 'R', 'I', 'T', 'Y', '=', (char) ('0' + level)};
	char message[LOG_TEXT_MAX + 16], extra[LOG_FIELDS_MAX][LOG_FIELD_MAX];
	struct iovec vectors[LOG_FIELDS_MAX + 3] = {
		{message, (size_t) snprintf(message, sizeof(message), "MESSAGE=%s", text)},
		{priority, sizeof(priority)},
		{(char *) "SYSLOG_IDENTIFIER=mtlsd", strlen("SYSLOG_IDENTIFIER=mtlsd")},
	};
	int count = 3;

	for (; fields && fields->name && count < (int) ARRAY_LENGTH(vectors); fields++) {
		char *buffer = extra[count - 3];

		if (!fields->value)
			continue;
		snprintf(buffer, LOG_FIELD_MAX, "%s=%s", fields->name, fields->value);
		vectors[count++] = (struct iovec){buffer, strlen(buffer)};
	}
	return sd_journal_sendv(vectors, count);
}

/* Control bytes could forge lines or drive a terminal: values come from clients and plugins. */
static size_t
log_append(char *line, size_t used, const char *text, bool quote)
{
	for (; *text && used < LOG_LINE_MAX - 4; text++) {
		unsigned char c = (unsigned char) *text;

		if (quote && (c == '"' || c == '\\'))
			line[used++] = '\\';
		line[used++] = c < 0x20 || c == 0x7f ? '?' : (char) c;
	}
	return used;
}

static void
log_send_stderr(int level, const struct log_field *fields, const char *text)
{
	struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
	char line[LOG_LINE_MAX];
	char priority[] = {'<', (char) ('0' + level), '>', '\0'};
	size_t used = log_append(line, 0, log_plainly ? priority : "mtlsd: ", false);

	if (log_plainly) {
		fields = NULL;
	} else {
		used = log_append(line, used, log_level_name(level), false);
		used = log_append(line, used, ": ", false);
	}
	used = log_append(line, used, text, false);
	for (; fields && fields->name; fields++) {
		bool quote;

		if (!fields->value)
			continue;
		quote = fields->value[strcspn(fields->value, " \"=\\")] != '\0' || !*fields->value;
		used = log_append(line, used, " ", false);
		used = log_append(line, used, fields->name, false);
		used = log_append(line, used, quote ? "=\"" : "=", false);
		used = log_append(line, used, fields->value, quote);
		used = log_append(line, used, quote ? "\"" : "", false);
	}
	line[used++] = '\n';
	log_is_stuck = poll(&ready, 1, log_is_stuck ? 0 : LOG_WAIT_MS) != 1;
	for (size_t done = 0; !log_is_stuck && done < used;) {
		ssize_t n = write(STDERR_FILENO, line + done, used - done);

		if (n < 0 && errno != EINTR)
			break;
		done += n > 0 ? (size_t) n : 0;
	}
}

static void
log_send(int level, const struct log_field *fields, const char *fmt, va_list args)
{
	char text[LOG_TEXT_MAX];
	int saved = errno;

	vsnprintf(text, sizeof(text), fmt, args);
	if (!log_to_journal || log_send_journal(level, fields, text) < 0)
		log_send_stderr(level, fields, text);
	errno = saved;
}

void
log_record(int level, const struct log_field *fields, const char *fmt, ...)
{
	va_list args;

	if (level > log_threshold)
		return;
	va_start(args, fmt);
	log_send(level, fields, fmt, args);
	va_end(args);
}

void
log_access(const struct log_field *fields, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_send(LOG_INFO, fields, fmt, args);
	va_end(args);
}
