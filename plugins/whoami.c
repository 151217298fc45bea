/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* whoami - answers with the verified identity of the client as one JSON object.
 *
 * The whole answer is built in the request's arena: written once to learn its size, once for good. Names in a
 * certificate are data of whoever asked for that certificate, so they are escaped for JSON, and bytes that are not
 * UTF-8 become U+FFFD.
 */
#include <inttypes.h>
#include <mtlsd/plugin.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const mtlsd_host *host;

/* Where the text goes. Counts on without a buffer, so that the first pass measures. */
struct writer {
	char *buffer;
	size_t length;
};

static void
writer_put(struct writer *writer, const char *text, size_t length)
{
	if (writer->buffer)
		memcpy(writer->buffer + writer->length, text, length);
	writer->length += length;
}

static void
writer_text(struct writer *writer, const char *text)
{
	writer_put(writer, text, strlen(text));
}

/* Length of the UTF-8 character at s, 0 if there is none: overlong forms, surrogates and what lies beyond U+10FFFF are
 * none. The string ends with NUL, which is no continuation byte, so this never reads past it. */
static size_t
utf8_length(const unsigned char *s)
{
	size_t length, i;
	unsigned char low = 0x80, high = 0xbf; /* what the second byte may be */

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf) {
		length = 2;
	} else if (s[0] >= 0xe0 && s[0] <= 0xef) {
		length = 3;
		low = s[0] == 0xe0 ? 0xa0 : low;
		high = s[0] == 0xed ? 0x9f : high;
	} else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		length = 4;
		low = s[0] == 0xf0 ? 0x90 : low;
		high = s[0] == 0xf4 ? 0x8f : high;
	} else {
		return 0;
	}
	if (s[1] < low || s[1] > high)
		return 0;
	for (i = 2; i < length; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return length;
}

static void
writer_string(struct writer *writer, const char *text)
{
	const unsigned char *s;
	size_t length;

	if (!text) {
		writer_text(writer, "null");
		return;
	}
	writer_text(writer, "\"");
	for (s = (const unsigned char *) text; *s; s += length) {
		length = utf8_length(s);
		if (length == 0) {
			writer_text(writer, "\\ufffd");
			length = 1;
		} else if (*s == '"' || *s == '\\') {
			writer_text(writer, "\\");
			writer_put(writer, (const char *) s, 1);
		} else if (*s < 0x20 || *s == 0x7f) {
			char escape[8];
			snprintf(escape, sizeof(escape), "\\u%04x", (unsigned) *s);
			writer_text(writer, escape);
		} else {
			writer_put(writer, (const char *) s, length);
		}
	}
	writer_text(writer, "\"");
}

static void
writer_date(struct writer *writer, int64_t seconds)
{
	struct tm parts;
	char text[40] = "";
	time_t when = (time_t) seconds;

	if (!gmtime_r(&when, &parts) || strftime(text, sizeof(text), "\"%Y-%m-%dT%H:%M:%SZ\"", &parts) == 0)
		snprintf(text, sizeof(text), "%" PRId64, seconds);
	writer_text(writer, text);
}

/* What is answered, in this order. */
static const struct {
	const char *key;
	mtlsd_field field;
	bool list;
} fields[] = {
	{"subject", MTLSD_ID_SUBJECT, false},
	{"issuer", MTLSD_ID_ISSUER, false},
	{"serial", MTLSD_ID_SERIAL, false},
	{"spki_sha256", MTLSD_ID_SPKI_SHA256, false},
	{"certificate_sha256", MTLSD_ID_CERTIFICATE_SHA256, false},
	{"uri", MTLSD_ID_SAN_URI, true},
	{"dns", MTLSD_ID_SAN_DNS, true},
	{"email", MTLSD_ID_SAN_EMAIL, true},
	{"ip", MTLSD_ID_SAN_IP, true},
};

static void
identity_write(struct writer *writer, const mtlsd_request *request)
{
	const char *value;
	size_t i, index;

	writer_text(writer, "{");
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		writer_string(writer, fields[i].key);
		writer_text(writer, ": ");
		if (!fields[i].list) {
			writer_string(writer, host->identity(request, fields[i].field, 0));
		} else {
			writer_text(writer, "[");
			for (index = 0; (value = host->identity(request, fields[i].field, index)); index++) {
				if (index)
					writer_text(writer, ", ");
				writer_string(writer, value);
			}
			writer_text(writer, "]");
		}
		writer_text(writer, ", ");
	}
	writer_text(writer, "\"not_before\": ");
	writer_date(writer, host->not_before(request));
	writer_text(writer, ", \"not_after\": ");
	writer_date(writer, host->not_after(request));
	writer_text(writer, ", \"address\": ");
	writer_string(writer, host->peer_address(request));
	writer_text(writer, ", \"tls\": ");
	writer_string(writer, host->tls_version(request));
	writer_text(writer, "}\n");
}

static int
whoami_init(const mtlsd_host *given, mtlsd_instance *self, const mtlsd_config *config, void **user, char *error,
	    size_t error_size)
{
	(void) self;
	(void) config;
	(void) user;
	(void) error;
	(void) error_size;
	host = given;
	return 0;
}

static mtlsd_action
whoami_request(void *user, mtlsd_request *request)
{
	struct writer measure = {0}, writer = {0};

	(void) user;
	identity_write(&measure, request);
	writer.buffer = host->alloc(request, measure.length);
	if (!writer.buffer)
		return MTLSD_FAIL;
	identity_write(&writer, request);
	if (host->add_header(request, "Content-Type", "application/json") < 0 ||
	    host->add_header(request, "Cache-Control", "no-store") < 0 ||
	    host->respond(request, 200, writer.buffer, writer.length) < 0)
		return MTLSD_FAIL;
	return MTLSD_DONE;
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("whoami", "1.0", "answers the client's verified identity as JSON"),
	.flags = MTLSD_CONCURRENT | MTLSD_OVERLAP,
	.init = whoami_init,
	.request = whoami_request,
};
