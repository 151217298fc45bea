/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "accesslog.h"

#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void
put_escaped(FILE *out, const char *text)
{
	if (!text || !*text)
		fputc('-', out);
	for (; text && *text; text++) {
		unsigned char c = (unsigned char) *text;

		if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
			fprintf(out, "\\x%02X", c);
		else
			fputc(c, out);
	}
}

static void
put_quoted(FILE *out, const char *text)
{
	fputs(" \"", out);
	put_escaped(out, text);
	fputc('"', out);
}

/* A word between blanks may hold none. */
static void
put_word(FILE *out, const char *text)
{
	if (text && strchr(text, ' '))
		put_quoted(out, text);
	else {
		fputc(' ', out);
		put_escaped(out, text);
	}
}

static void
put_request(FILE *out, const struct accesslog_entry *entry)
{
	fputs(" \"", out);
	put_escaped(out, entry->text[ACCESSLOG_METHOD]);
	fputc(' ', out);
	put_escaped(out, entry->text[ACCESSLOG_TARGET]);
	fputc(' ', out);
	put_escaped(out, entry->text[ACCESSLOG_VERSION]);
	fputc('"', out);
}

int
accesslog_combined(const struct accesslog_entry *entry, char **ret, size_t *ret_length)
{
	time_t seconds = (time_t) (entry->began / 1000000);
	char when[64];
	struct tm tm;
	FILE *out = open_memstream(ret, ret_length);

	if (!out)
		return -ENOMEM;
	(void) strftime(when, sizeof(when), "%d/%b/%Y:%H:%M:%S %z", localtime_r(&seconds, &tm));
	put_escaped(out, entry->text[ACCESSLOG_ADDRESS]);
	fputs(" -", out);
	put_word(out, entry->text[ACCESSLOG_SUBJECT]);
	fprintf(out, " [%s]", when);
	put_request(out, entry);
	fprintf(out, " %d %" PRIu64, entry->status, entry->bytes);
	put_quoted(out, entry->text[ACCESSLOG_REFERER]);
	put_quoted(out, entry->text[ACCESSLOG_AGENT]);
	fputc('\n', out);
	/* It may succeed without a text: the last bytes need memory, too. So everywhere. */
	if (fclose(out) == 0 && *ret)
		return 0;
	free(*ret);
	*ret = NULL;
	return -ENOMEM;
}

static const struct {
	enum accesslog_text text;
	const char *key;
} keys[] = {
	{ACCESSLOG_ADDRESS, "peer"},    {ACCESSLOG_SUBJECT, "subject"},  {ACCESSLOG_METHOD, "method"},
	{ACCESSLOG_TARGET, "target"},   {ACCESSLOG_VERSION, "version"},  {ACCESSLOG_HOST, "host"},
	{ACCESSLOG_REFERER, "referer"}, {ACCESSLOG_AGENT, "user_agent"}, {ACCESSLOG_ROUTE, "route"},
	{ACCESSLOG_PLUGIN, "plugin"},   {ACCESSLOG_TLS, "tls"},
};

/* Bytes of a client need not be UTF-8; what is not becomes '?'. */
static json_t *
text_json(const char *text)
{
	json_t *string = json_string(text);
	char *copy;

	if (string || !(copy = strdup(text)))
		return string;
	for (char *p = copy; *p; p++)
		if ((unsigned char) *p >= 0x80)
			*p = '?';
	string = json_string(copy);
	free(copy);
	return string;
}

int
accesslog_json(const struct accesslog_entry *entry, char **ret, size_t *ret_length)
{
	time_t seconds = (time_t) (entry->began / 1000000);
	char day[32], when[64];
	struct tm tm;

	(void) strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
	(void) snprintf(when, sizeof(when), "%s.%06" PRId64 "Z", day, entry->began % 1000000);
	json_t *object = json_pack("{s:s, s:i, s:I, s:I}", "time", when, "status", entry->status, "bytes",
				   (json_int_t) entry->bytes, "duration_us", (json_int_t) entry->duration);
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
		if (entry->text[keys[i].text])
			json_object_set_new(object, keys[i].key, text_json(entry->text[keys[i].text]));
	if (entry->instance)
		json_object_set_new(object, "instance", json_integer((json_int_t) entry->instance));
	if (entry->aborted)
		json_object_set_new(object, "aborted", json_true());
	char *line = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	size_t length = line ? strlen(line) : 0;
	char *whole = line ? realloc(line, length + 2) : NULL;
	if (!whole) {
		free(line);
		return -ENOMEM;
	}
	memcpy(whole + length, "\n", 2);
	*ret = whole;
	*ret_length = length + 1;
	return 0;
}

void
accesslog_journal(const struct accesslog_entry *entry)
{
	char status[16], bytes[32], duration[32], instance[32];
	struct log_field fields[] = {
		{"MTLSD_PEER", entry->text[ACCESSLOG_ADDRESS]},
		{"MTLSD_SUBJECT", entry->text[ACCESSLOG_SUBJECT]},
		{"MTLSD_ROUTE", entry->text[ACCESSLOG_ROUTE]},
		{"MTLSD_PLUGIN", entry->text[ACCESSLOG_PLUGIN]},
		{"MTLSD_INSTANCE", entry->instance ? instance : NULL},
		{"MTLSD_STATUS", status},
		{"MTLSD_BYTES", bytes},
		{"MTLSD_DURATION_USEC", duration},
		{"MTLSD_TLS", entry->text[ACCESSLOG_TLS]},
		{"MTLSD_HOST", entry->text[ACCESSLOG_HOST]},
		{"MTLSD_USER_AGENT", entry->text[ACCESSLOG_AGENT]},
		{NULL, NULL},
	};

	(void) snprintf(status, sizeof(status), "%d", entry->status);
	(void) snprintf(bytes, sizeof(bytes), "%" PRIu64, entry->bytes);
	(void) snprintf(duration, sizeof(duration), "%" PRIu64, entry->duration);
	(void) snprintf(instance, sizeof(instance), "%" PRIu64, entry->instance);
	log_access(fields, "%s %s %d", entry->text[ACCESSLOG_METHOD], entry->text[ACCESSLOG_TARGET], entry->status);
}
