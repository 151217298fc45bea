/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gate.h"
#include "target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOST "Host: a\r\n"
#define POST "POST /p HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

/* What the parser gets in their place. */
#define GET_OUT "GET / HTTP/1.1\r\nHost:a\r\n"
#define POST_OUT "POST / HTTP/1.1\r\nHost:a\r\n"
#define CHUNKED_OUT POST_OUT "Transfer-Encoding:chunked\r\n\r\n"

static const struct gate_limits limits = {.header_size = 1024, .header_count = 8, .body_size = 100};

static struct gate *
fresh_gate(void)
{
	struct gate *gate = NULL;
	assert_int_equal(gate_new(&limits, &gate), 0);
	return gate;
}

/* Feeds all of text, step bytes at a time, and collects what passes. */
static void
feed(struct gate *gate, const char *text, size_t length, size_t step, char *out, size_t *out_length)
{
	for (size_t used = 0; used < length || gate_pending(gate);) {
		char buffer[2048];
		long n = gate_pending(gate) ? gate_pass(gate, NULL, 0, buffer, sizeof(buffer)) : 0;
		if (n == 0) {
			size_t piece = length - used < step ? length - used : step;
			if (piece == 0)
				break;
			memcpy(buffer, text + used, piece);
			n = gate_pass(gate, buffer, piece, buffer, sizeof(buffer));
			used += piece;
		}
		assert_true(n >= 0);
		memcpy(out + *out_length, buffer, (size_t) n);
		*out_length += (size_t) n;
	}
	out[*out_length] = '\0';
}

static const size_t steps[] = {1, 2, 7, 1500};

static void
a_good_head_passes_as_a_small_one(void **state)
{
	(void) state;
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"GET /a/b;c=d/%20%c3%a4?x=%00&y=%2f/../{|} HTTP/1.1\r\n" HOST "X:\ty \r\nCookie: k=v\r\n\r\n",
		 GET_OUT "\r\n"},
		{"GET / HTTP/1.1\r\nhost:a\r\n\r\n", GET_OUT "\r\n"},
		{"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"},
		{"\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		 "GET / HTTP/1.0\r\nConnection:keep-alive\r\n\r\n"},
		{"HEAD /...a/..b HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n", "HEAD / HTTP/1.1\r\nHost:a\r\n\r\n"},
		{"GET / HTTP/1.1\r\n" HOST "Connection: x , Close\r\nConnection: keep-alive\r\n\r\n",
		 GET_OUT "Connection:close\r\n\r\n"},
		{"GET / HTTP/1.1\r\n" HOST "Connection: closed, \t,TE\r\n\r\n", GET_OUT "\r\n"},
		{POST "Content-Length: 5\r\n\r\nab\ncd", POST_OUT "Content-Length:5\r\n\r\nab\ncd"},
		{POST "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n",
		 POST_OUT "Content-Length:0\r\nExpect:100-continue\r\n\r\n"},
		{CHUNKED "5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n",
		 CHUNKED_OUT "5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		for (size_t j = 0; j < sizeof(steps) / sizeof(*steps); j++) {
			struct gate *gate = fresh_gate();
			char out[4096];
			size_t n = 0;
			feed(gate, rows[i].in, strlen(rows[i].in), steps[j], out, &n);
			assert_int_equal(gate_refusal(gate), GATE_ACCEPTED);
			assert_int_equal(gate_phase(gate), GATE_IDLE);
			assert_string_equal(out, rows[i].out);
			gate_free(&gate);
		}
}

static void
the_head_itself_is_there_to_be_taken(void **state)
{
	(void) state;
	static const char in[] = "PUT /p%20q?r HTTP/1.0\r\nX:\r\nY:\t a  b\t \r\nhOST: a:1\r\nY: 2\r\n\r\n";
	for (size_t j = 0; j < sizeof(steps) / sizeof(*steps); j++) {
		struct gate *gate = fresh_gate();
		char out[4096];
		size_t n = 0;
		feed(gate, in, strlen(in), steps[j], out, &n);
		struct gate_request *request = gate_take_request(gate);
		assert_null(gate_take_request(gate));
		gate_free(&gate); /* what was taken stays */
		assert_string_equal(request->method, "PUT");
		assert_string_equal(request->target, "/p%20q?r");
		assert_string_equal(request->version, "HTTP/1.0");
		assert_string_equal(request->host, "a:1");
		assert_int_equal(request->header_count, 4);
		assert_string_equal(request->headers[0].name, "X");
		assert_string_equal(request->headers[0].value, "");
		assert_string_equal(request->headers[1].value, "a  b");
		assert_string_equal(request->headers[3].name, "Y");
		assert_string_equal(request->headers[3].value, "2");
		gate_request_free(&request);
		assert_null(request);
	}
	/* A refused one is not; nor does one that nobody took stay behind. */
	struct gate *gate = fresh_gate();
	char out[4096];
	size_t n = 0;
	feed(gate, in, strlen(in), 100, out, &n);
	feed(gate, "BAD\r\n", 5, 100, out, &n);
	assert_int_equal(gate_refusal(gate), GATE_REQUEST_LINE);
	assert_null(gate_take_request(gate));
	gate_free(&gate);
}

static void
chunks_come_out_canonical(void **state)
{
	(void) state;
	for (size_t j = 0; j < sizeof(steps) / sizeof(*steps); j++) {
		struct gate *gate = fresh_gate();
		char out[4096];
		size_t n = 0;
		static const char in[] = CHUNKED
			"005;a=\"b\"\r\nhello\r\nA\r\n0123456789\r\n00;x\r\nT: v\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n";
		feed(gate, in, strlen(in), steps[j], out, &n);
		assert_string_equal(out, CHUNKED_OUT "5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n" GET_OUT "\r\n");
		gate_free(&gate);
	}
}

struct bad {
	const char *text;
	enum gate_reason reason;
	size_t length; /* 0: strlen */
};

static const struct bad bad_heads[] = {
	{"GET / HTTP/1.1\nHost: a\n\n", GATE_BARE_LF, 0},
	{"GET / HTTP/1.1\r\nHost: a\n", GATE_BARE_LF, 0},
	{"GET / HTTP/1.1\r\nHost: a\rX", GATE_BARE_CR, 0},
	{"GET / HTTP/1.1\r\nX: a\0b\r\n", GATE_NUL, 25},
	{"GET / HTTP/1.1\r\nX: \x01", GATE_CONTROL, 0},
	{"\x16\x03\x01", GATE_CONTROL, 0},
	{"\r\n\r\n", GATE_EMPTY_LINES, 0},
	{"GET /\r\n", GATE_REQUEST_LINE, 0},
	{"GET  / HTTP/1.1\r\n", GATE_REQUEST_LINE, 0},
	{"G(T / HTTP/1.1\r\n", GATE_METHOD, 0},
	{"CONNECT a:1 HTTP/1.1\r\n", GATE_METHOD_REFUSED, 0},
	{"TRACE / HTTP/1.1\r\n", GATE_METHOD_REFUSED, 0},
	{"GET http://a/ HTTP/1.1\r\n", GATE_TARGET_FORM, 0},
	{"OPTIONS * HTTP/1.1\r\n", GATE_TARGET_FORM, 0},
	{"GET / HTTP/1.2\r\n", GATE_VERSION, 0},
	{"GET / HTTP/2.0\r\n", GATE_VERSION, 0},
	{"GET / http/1.1\r\n", GATE_VERSION_SYNTAX, 0},
	{"GET / HTTP/1.10\r\n", GATE_VERSION_SYNTAX, 0},
	{"GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n", GATE_FIELD_FOLDED, 0},
	{"GET / HTTP/1.1\r\n" HOST ": a\r\n", GATE_FIELD_NAME, 0},
	{"GET / HTTP/1.1\r\n" HOST "X Y: a\r\n", GATE_FIELD_NAME, 0},
	{"GET / HTTP/1.1\r\n" HOST "X : a\r\n", GATE_FIELD_SPACE_BEFORE_COLON, 0},
	{"GET / HTTP/1.1\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n", GATE_FIELD_COUNT, 0},
	{"GET / HTTP/1.1\r\n\r\n", GATE_HOST_MISSING, 0},
	{"GET / HTTP/1.1\r\n" HOST HOST, GATE_HOST_REPEATED, 0},
	{"GET / HTTP/1.1\r\nHost: a/b\r\n", GATE_HOST_SYNTAX, 0},
	{"GET / HTTP/1.1\r\nHost: a:65536\r\n", GATE_HOST_SYNTAX, 0},
	{"GET / HTTP/1.1\r\nHost: [::g]\r\n", GATE_HOST_SYNTAX, 0},
	{"GET / HTTP/1.1\r\nHost:\r\n", GATE_HOST_SYNTAX, 0},
	{POST "Content-Length: 1\r\nContent-Length: 1\r\n", GATE_LENGTH_REPEATED, 0},
	{POST "Content-Length: 1, 1\r\n", GATE_LENGTH_SYNTAX, 0},
	{POST "Content-Length: +1\r\n", GATE_LENGTH_SYNTAX, 0},
	{POST "Content-Length: 1 \r\n", GATE_LENGTH_SYNTAX, 0},
	{POST "Content-Length: 01\r\n", GATE_LENGTH_SYNTAX, 0},
	{POST "Content-Length: 9223372036854775808\r\n", GATE_LENGTH_SYNTAX, 0},
	{POST "Content-Length: 101\r\n\r\n", GATE_BODY_LARGE, 0},
	{POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", GATE_LENGTH_WITH_CODING, 0},
	{POST "Transfer-Encoding: gzip, chunked\r\n", GATE_CODING, 0},
	{POST "Transfer-Encoding: chunked \r\n", GATE_CODING, 0},
	{POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", GATE_CODING_REPEATED, 0},
	{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", GATE_CODING_IN_1_0, 0},
	{POST "Expect: 200-ok\r\n", GATE_EXPECT, 0},
	{POST "Upgrade: h2c\r\n", GATE_UPGRADE, 0},
};

static void
bad_heads_never_pass(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(bad_heads) / sizeof(*bad_heads); i++)
		for (size_t j = 0; j < sizeof(steps) / sizeof(*steps); j++) {
			const struct bad *bad = &bad_heads[i];
			struct gate *gate = fresh_gate();
			char out[4096];
			size_t n = 0;
			feed(gate, bad->text, bad->length ? bad->length : strlen(bad->text), steps[j], out, &n);
			if (gate_refusal(gate) != bad->reason)
				print_error("%s: %s\n", bad->text, gate_reason_name(gate_refusal(gate)));
			assert_int_equal(gate_refusal(gate), bad->reason);
			assert_int_equal(gate_phase(gate), GATE_REFUSED);
			assert_string_equal(out,
					    "GET / HTTP/1.1\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n");
			/* Nothing that comes later passes. */
			feed(gate, "GET /x HTTP/1.1\r\n" HOST "\r\n", 28, 28, out, &n);
			assert_null(strstr(out, "/x"));
			assert_true(gate_reason_status(bad->reason) >= 400);
			gate_free(&gate);
		}
}

static void
a_bad_body_is_ended_for_the_parser(void **state)
{
	(void) state;
	static const struct {
		const char *in, *out;
		enum gate_reason reason;
	} rows[] = {
		{"5\r\nhelloX", "5\r\nhello\r\n0\r\n\r\n", GATE_CHUNK_END},
		{"5\r\nhello\rX", "5\r\nhello\r\n0\r\n\r\n", GATE_CHUNK_END},
		{"5\r\nhello\r\nx\r\n", "5\r\nhello\r\n0\r\n\r\n", GATE_CHUNK_SIZE},
		{"5 \r\n", "0\r\n\r\n", GATE_CHUNK_SIZE},
		{"0x5\r\n", "0\r\n\r\n", GATE_CHUNK_SIZE},
		{"\r\n", "0\r\n\r\n", GATE_CHUNK_SIZE},
		{"5\n", "0\r\n\r\n", GATE_BARE_LF},
		{"65\r\n", "0\r\n\r\n", GATE_BODY_LARGE},
		{"5\r\nhello\r\n60\r\n", "5\r\nhello\r\n0\r\n\r\n", GATE_BODY_LARGE},
		{"ffffffffffffffff\r\n", "0\r\n\r\n", GATE_BODY_LARGE},
		{"5;\x01\r\n", "0\r\n\r\n", GATE_CONTROL},
		{"0\r\nContent-Length: 1\r\n\r\n", "0\r\n\r\n", GATE_TRAILER_FRAMING},
		{"0\r\nA: b\r\n c\r\n", "0\r\n\r\n", GATE_FIELD_FOLDED},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		for (size_t j = 0; j < sizeof(steps) / sizeof(*steps); j++) {
			struct gate *gate = fresh_gate();
			char in[512], out[4096], expected[512];
			size_t n = 0;
			(void) snprintf(in, sizeof(in), "%s%s", CHUNKED, rows[i].in);
			(void) snprintf(expected, sizeof(expected), "%s%s", CHUNKED_OUT, rows[i].out);
			feed(gate, in, strlen(in), steps[j], out, &n);
			assert_int_equal(gate_refusal(gate), rows[i].reason);
			assert_string_equal(out, expected);
			gate_free(&gate);
		}
}

static void
sizes_are_limited_to_the_byte(void **state)
{
	(void) state;
	for (int over = 0; over <= 1; over++) {
		char text[2048], out[4096];
		size_t n = 0;
		struct gate *gate = fresh_gate();
		int fixed = (int) strlen("GET / HTTP/1.1\r\n" HOST "X: \r\n\r\n");
		(void) snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST "X: %0*d\r\n\r\n", 1024 - fixed + over,
				0);
		feed(gate, text, strlen(text), 100, out, &n);
		assert_int_equal(gate_refusal(gate), over ? GATE_HEAD_LARGE : GATE_ACCEPTED);
		gate_free(&gate);

		gate = fresh_gate();
		n = 0;
		(void) snprintf(text, sizeof(text), "GET /%0*d", 1024 - 5 + over, 0);
		feed(gate, text, strlen(text), 100, out, &n);
		assert_int_equal(gate_refusal(gate), over ? GATE_TARGET_LONG : GATE_ACCEPTED);
		gate_free(&gate);
	}
	assert_int_equal(gate_reason_status(GATE_HEAD_LARGE), 431);
	assert_int_equal(gate_reason_status(GATE_TARGET_LONG), 414);
	assert_int_equal(gate_reason_status(GATE_BODY_LARGE), 413);
}

static void
one_message_passes_a_call(void **state)
{
	(void) state;
	struct gate *gate = fresh_gate();
	char buffer[1024] = POST "Content-Length: 2\r\n\r\nabGET /2 HTTP/1.1\r\n" HOST "\r\nGET /3";
	size_t length = strlen(buffer);
	long n = gate_pass(gate, buffer, length, buffer, sizeof(buffer));
	assert_int_equal(n, strlen(POST_OUT "Content-Length:2\r\n\r\nab"));
	assert_int_equal(gate_content_length(gate), 2);
	assert_int_equal(gate_phase(gate), GATE_HEAD);
	assert_true(gate_pending(gate));
	n = gate_pass(gate, NULL, 0, buffer, sizeof(buffer));
	assert_int_equal(n, strlen(GET_OUT "\r\n"));
	assert_int_equal(gate_content_length(gate), 0);
	/* What is left is not whole: it is looked at once, and then only more bytes help. */
	assert_int_equal(gate_pass(gate, NULL, 0, buffer, sizeof(buffer)), 0);
	assert_false(gate_pending(gate));
	assert_int_equal(gate_phase(gate), GATE_HEAD);
	gate_free(&gate);
}

static void
a_known_body_is_never_read_past(void **state)
{
	(void) state;
	struct gate *gate = fresh_gate();
	char buffer[512] = POST "Content-Length: 50\r\n\r\n";
	assert_int_equal(gate_wanted(gate, 512), 512);
	(void) gate_pass(gate, buffer, strlen(buffer), buffer, sizeof(buffer));
	assert_int_equal(gate_phase(gate), GATE_BODY);
	assert_int_equal(gate_wanted(gate, 512), 50);
	assert_int_equal(gate_pass(gate, buffer, 20, buffer, sizeof(buffer)), 20);
	assert_int_equal(gate_wanted(gate, 512), 30);
	assert_int_equal(gate_wanted(gate, 10), 10);
	gate_free(&gate);
}

static void
an_abandoned_body_ends_at_once(void **state)
{
	(void) state;
	static const struct {
		const char *in, *more;
		size_t length; /* of what the parser is still owed */
	} rows[] = {
		{POST "Content-Length: 50\r\n\r\nabc", "", 47},
		{CHUNKED "5\r\nhe", "", 3 + 7},
		{CHUNKED "5\r\nhello", "", 7},
		{CHUNKED "5\r\nhello\r", "", 7},
		{CHUNKED "5\r\nhello\r\n", "", 5},
		{CHUNKED "5\r\nhello\r\n3", "", 5},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct gate *gate = fresh_gate();
		char out[4096];
		size_t n = 0;
		feed(gate, rows[i].in, strlen(rows[i].in), 1, out, &n);
		assert_int_equal(gate_phase(gate), GATE_BODY);
		gate_abandon(gate);
		n = 0;
		while (gate_pending(gate)) {
			long passed = gate_pass(gate, NULL, 0, out, 4);
			assert_true(passed > 0);
			n += (size_t) passed;
		}
		assert_int_equal(n, rows[i].length);
		assert_int_equal(gate_phase(gate), GATE_REFUSED);
		assert_int_equal(gate_refusal(gate), GATE_ACCEPTED);
		n = 0;
		feed(gate, "GET / HTTP/1.1\r\n" HOST "\r\n", 27, 27, out, &n);
		assert_int_equal(n, 0);
		gate_free(&gate);
	}
	/* Nothing to abandon: the connection goes on. */
	struct gate *gate = fresh_gate();
	char out[4096];
	size_t n = 0;
	feed(gate, "GET / HTTP/1.1\r\n" HOST "\r\n", 27, 27, out, &n);
	gate_abandon(gate);
	n = 0;
	feed(gate, POST "Content-Length: 2\r\n\r\nab", strlen(POST) + 23, 100, out, &n);
	assert_string_equal(out + n - 2, "ab");
	gate_free(&gate);
	gate_free(&gate); /* accepts NULL */
}

static void
targets(void **state)
{
	(void) state;
	static const struct {
		const char *target;
		enum gate_reason reason;
	} rows[] = {
		{"/", GATE_ACCEPTED},
		{"/a/", GATE_ACCEPTED},
		{"/a%252fb", GATE_ACCEPTED},
		{"/%e2%82%ac", GATE_ACCEPTED},
		{"/a?//../%2f%00", GATE_ACCEPTED},
		{"", GATE_TARGET_FORM},
		{"a", GATE_TARGET_FORM},
		{"//", GATE_TARGET_EMPTY_SEGMENT},
		{"/a//", GATE_TARGET_EMPTY_SEGMENT},
		{"/.", GATE_TARGET_DOT_SEGMENT},
		{"/a/..", GATE_TARGET_DOT_SEGMENT},
		{"/%2e%2E/", GATE_TARGET_DOT_SEGMENT},
		{"/..;a/", GATE_TARGET_DOT_SEGMENT},
		{"/%2e;", GATE_TARGET_DOT_SEGMENT},
		{"/a%2fb", GATE_TARGET_ENCODED},
		{"/a%5cb", GATE_TARGET_ENCODED},
		{"/a%00", GATE_TARGET_ENCODED},
		{"/a%0a", GATE_TARGET_ENCODED},
		{"/%", GATE_TARGET_PERCENT},
		{"/%2", GATE_TARGET_PERCENT},
		{"/%gg", GATE_TARGET_PERCENT},
		{"/?%", GATE_TARGET_PERCENT},
		{"/%c0%af", GATE_TARGET_UTF8},
		{"/%ed%a0%80", GATE_TARGET_UTF8},
		{"/%ff", GATE_TARGET_UTF8},
		{"/%e2%82/", GATE_TARGET_UTF8},
		{"/a\\b", GATE_TARGET_CHARACTER},
		{"/a#b", GATE_TARGET_CHARACTER},
		{"/a?b#c", GATE_TARGET_CHARACTER},
		{"/\xc3\xa4", GATE_TARGET_CHARACTER},
		{"/a?\x7f", GATE_TARGET_CHARACTER},
		{"/{", GATE_TARGET_CHARACTER},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (target_check(rows[i].target, strlen(rows[i].target)) != rows[i].reason)
			print_error("%s\n", rows[i].target);
		assert_int_equal(target_check(rows[i].target, strlen(rows[i].target)), rows[i].reason);
	}
}

/* A long segment is checked piecewise: no piece may hide what the whole shows. */
static void
long_segments(void **state)
{
	(void) state;
	for (size_t lead = 0; lead < 200; lead++) {
		char target[1024] = "/";
		memset(target + 1, 'a', lead);
		strcpy(target + 1 + lead, "%f0%9f%98%80");
		assert_int_equal(target_check(target, strlen(target)), GATE_ACCEPTED);
		strcpy(target + 1 + lead, "%f0%9f%98/b");
		assert_int_equal(target_check(target, strlen(target)), GATE_TARGET_UTF8);
		strcpy(target + 1 + lead, "/..");
		assert_int_equal(target_check(target, strlen(target)),
				 lead ? GATE_TARGET_DOT_SEGMENT : GATE_TARGET_EMPTY_SEGMENT);
		strcpy(target + 1 + lead, "%80%80%80%80%80%80");
		assert_int_equal(target_check(target, strlen(target)), GATE_TARGET_UTF8);
	}
}

static void
paths_are_decoded_once(void **state)
{
	(void) state;
	char path[64];
	const char *query;
	static const char target[] = "/a%20b%252f%c3%a4?c=%20";
	assert_int_equal(target_decode(target, strlen(target), path, &query), 9);
	assert_string_equal(path, "/a b%2f\xc3\xa4");
	assert_string_equal(query, "c=%20");
	(void) target_decode("/x", 2, path, &query);
	assert_null(query);
}

static void
every_reason_has_its_words(void **state)
{
	(void) state;
	for (unsigned i = 1; i < GATE_REASON_COUNT; i++) {
		assert_non_null(gate_reason_name(i));
		assert_non_null(gate_reason_text(i));
		assert_in_range(gate_reason_status(i), 400, 599);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_head_passes_as_a_small_one),
		cmocka_unit_test(the_head_itself_is_there_to_be_taken),
		cmocka_unit_test(chunks_come_out_canonical),
		cmocka_unit_test(bad_heads_never_pass),
		cmocka_unit_test(a_bad_body_is_ended_for_the_parser),
		cmocka_unit_test(sizes_are_limited_to_the_byte),
		cmocka_unit_test(one_message_passes_a_call),
		cmocka_unit_test(a_known_body_is_never_read_past),
		cmocka_unit_test(an_abandoned_body_ends_at_once),
		cmocka_unit_test(targets),
		cmocka_unit_test(long_segments),
		cmocka_unit_test(paths_are_decoded_once),
		cmocka_unit_test(every_reason_has_its_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
