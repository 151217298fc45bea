/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gate-head.h"

#include "cleanup.h"
#include "target.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { METHOD_LENGTH = 32 };

struct span {
	const char *start;
	size_t length;
};

static bool
span_is(struct span span, const char *word)
{
	return strlen(word) == span.length && strncasecmp(span.start, word, span.length) == 0;
}

/* RFC 9110, 5.6.2 */
static bool
is_token(struct span span)
{
	for (size_t i = 0; i < span.length; i++) {
		unsigned char c = (unsigned char) span.start[i];
		if (c <= 0x20 || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
			return false;
	}
	return span.length > 0;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static enum gate_reason
check_version(struct gate_head *head, struct span version)
{
	const char *v = version.start;
	if (version.length != 8 || memcmp(v, "HTTP/", 5) != 0 || !is_digit(v[5]) || v[6] != '.' || !is_digit(v[7]))
		return GATE_VERSION_SYNTAX;
	if (v[5] != '1' || v[7] > '1')
		return GATE_VERSION;
	head->version_1_0 = v[7] == '0';
	return GATE_ACCEPTED;
}

enum gate_reason
gate_head_request_line(struct gate_head *head, const char *line, size_t length)
{
	const char *end = line + length;
	const char *first = memchr(line, ' ', length);
	const char *second = first ? memchr(first + 1, ' ', (size_t) (end - first - 1)) : NULL;
	if (!second || memchr(second + 1, ' ', (size_t) (end - second - 1)))
		return GATE_REQUEST_LINE;
	struct span method = {line, (size_t) (first - line)};
	struct span target = {first + 1, (size_t) (second - first - 1)};
	struct span version = {second + 1, (size_t) (end - second - 1)};
	if (!is_token(method) || method.length > METHOD_LENGTH)
		return GATE_METHOD;
	if (span_is(method, "CONNECT") || span_is(method, "TRACE"))
		return GATE_METHOD_REFUSED;
	enum gate_reason reason = check_version(head, version);
	return reason ? reason : target_check(target.start, target.length);
}

/* RFC 3986, 3.2.2 and 3.2.3, without the percent-encoded and sub-delim characters that no host name has. */
static bool
is_host(struct span value)
{
	const char *at = value.start, *end = value.start + value.length;
	if (value.length == 0)
		return false;
	if (*at == '[') {
		char literal[INET6_ADDRSTRLEN];
		struct in6_addr address;
		const char *close = memchr(at, ']', value.length);
		size_t n = close ? (size_t) (close - at - 1) : 0;
		if (!close || n >= sizeof(literal))
			return false;
		memcpy(literal, at + 1, n);
		literal[n] = '\0';
		if (inet_pton(AF_INET6, literal, &address) != 1)
			return false;
		at = close + 1;
	} else {
		const char *start = at;
		while (at < end && *at != ':') {
			unsigned char c = (unsigned char) *at++;
			if (!(is_digit((char) c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
			      c == '.' || c == '_' || c == '~'))
				return false;
		}
		if (at == start)
			return false;
	}
	if (at == end)
		return true;
	if (*at++ != ':' || at == end || end - at > 5)
		return false;
	unsigned port = 0;
	for (; at < end; at++) {
		if (!is_digit(*at))
			return false;
		port = port * 10 + (unsigned) (*at - '0');
	}
	return port <= 65535;
}

static enum gate_reason
take_length(struct gate_head *head, struct span value)
{
	if (head->has_length)
		return GATE_LENGTH_REPEATED;
	head->has_length = true;
	/* 18 digits cannot overflow 63 bits, and are beyond any body there will be. */
	if (value.length == 0 || value.length > 18 || (value.length > 1 && value.start[0] == '0'))
		return GATE_LENGTH_SYNTAX;
	int64_t length = 0;
	for (size_t i = 0; i < value.length; i++) {
		if (!is_digit(value.start[i]))
			return GATE_LENGTH_SYNTAX;
		length = length * 10 + (value.start[i] - '0');
	}
	head->content_length = length;
	return GATE_ACCEPTED;
}

static enum gate_reason
take_coding(struct gate_head *head, struct span value)
{
	if (head->has_coding)
		return GATE_CODING_REPEATED;
	head->has_coding = true;
	if (!span_is(value, "chunked"))
		return GATE_CODING;
	return GATE_ACCEPTED;
}

static enum gate_reason
take_host(struct gate_head *head, struct span value)
{
	if (head->has_host)
		return GATE_HOST_REPEATED;
	head->has_host = true;
	return is_host(value) ? GATE_ACCEPTED : GATE_HOST_SYNTAX;
}

static enum gate_reason
take_expect(struct gate_head *head, struct span value)
{
	if (head->has_expect || !span_is(value, "100-continue"))
		return GATE_EXPECT;
	head->has_expect = true;
	return GATE_ACCEPTED;
}

/* RFC 9110, 7.6.1: a list, in as many fields as the client likes. Other options are nobody's here. */
static void
take_connection(struct gate_head *head, struct span value)
{
	const char *end = value.start + value.length;
	while (value.start < end) {
		const char *comma = memchr(value.start, ',', (size_t) (end - value.start));
		struct span option = {value.start, (size_t) ((comma ? comma : end) - value.start)};
		value.start = comma ? comma + 1 : end;
		while (option.length && (option.start[0] == ' ' || option.start[0] == '\t')) {
			option.start++;
			option.length--;
		}
		while (option.length &&
		       (option.start[option.length - 1] == ' ' || option.start[option.length - 1] == '\t'))
			option.length--;
		head->close = head->close || span_is(option, "close");
		head->keep_alive = head->keep_alive || span_is(option, "keep-alive");
	}
}

/* Trailing whitespace stays in the value: legal around any value, it is refused in those that frame or route, because
 * the parser behind the gate would read them differently. */
static enum gate_reason
split_field(const char *line, size_t length, struct span *ret_name, struct span *ret_value)
{
	if (line[0] == ' ' || line[0] == '\t')
		return GATE_FIELD_FOLDED;
	const char *colon = memchr(line, ':', length);
	if (!colon)
		return GATE_FIELD_NAME;
	struct span name = {line, (size_t) (colon - line)};
	if (name.length && (name.start[name.length - 1] == ' ' || name.start[name.length - 1] == '\t'))
		return GATE_FIELD_SPACE_BEFORE_COLON;
	if (!is_token(name))
		return GATE_FIELD_NAME;
	struct span value = {colon + 1, (size_t) (line + length - colon - 1)};
	while (value.length && (value.start[0] == ' ' || value.start[0] == '\t')) {
		value.start++;
		value.length--;
	}
	*ret_name = name;
	*ret_value = value;
	return GATE_ACCEPTED;
}

enum gate_reason
gate_head_field(struct gate_head *head, const char *line, size_t length)
{
	struct span name, value;
	enum gate_reason reason = split_field(line, length, &name, &value);
	if (reason)
		return reason;
	head->fields++;
	if (span_is(name, "host"))
		return take_host(head, value);
	if (span_is(name, "content-length"))
		return take_length(head, value);
	if (span_is(name, "transfer-encoding"))
		return take_coding(head, value);
	if (span_is(name, "expect"))
		return take_expect(head, value);
	if (span_is(name, "upgrade"))
		return GATE_UPGRADE;
	if (span_is(name, "connection"))
		take_connection(head, value);
	return GATE_ACCEPTED;
}

enum gate_reason
gate_head_end(const struct gate_head *head, uint64_t body_size)
{
	if (!head->has_host && !head->version_1_0)
		return GATE_HOST_MISSING;
	if (head->has_coding && head->version_1_0)
		return GATE_CODING_IN_1_0;
	if (head->has_coding && head->has_length)
		return GATE_LENGTH_WITH_CODING;
	if (head->content_length > 0 && (uint64_t) head->content_length > body_size)
		return GATE_BODY_LARGE;
	return GATE_ACCEPTED;
}

size_t
gate_head_write(const struct gate_head *head, const char *method, const char *version,
		char text[static GATE_HEAD_SMALL])
{
	char length[40] = "";
	if (head->has_length)
		(void) snprintf(length, sizeof(length), "Content-Length:%lld\r\n", (long long) head->content_length);
	int n = snprintf(text, GATE_HEAD_SMALL, "%s / %s\r\n%s%s%s%s%s%s\r\n", method, version,
			 head->has_host ? "Host:a\r\n" : "", head->close ? "Connection:close\r\n" : "",
			 head->keep_alive && !head->close ? "Connection:keep-alive\r\n" : "", length,
			 head->has_coding ? "Transfer-Encoding:chunked\r\n" : "",
			 head->has_expect ? "Expect:100-continue\r\n" : "");
	assert(n > 0 && n < GATE_HEAD_SMALL); /* methods are bounded, versions two */
	return (size_t) n;
}

enum gate_reason
gate_head_trailer(const char *line, size_t length)
{
	struct span name, value;
	enum gate_reason reason = split_field(line, length, &name, &value);
	if (reason)
		return reason;
	if (span_is(name, "host") || span_is(name, "content-length") || span_is(name, "transfer-encoding"))
		return GATE_TRAILER_FRAMING;
	return GATE_ACCEPTED;
}
