/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Framing, bounds and descriptors of Varlink messages. */
#include "wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
/* cmocka wants the four above. */
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>

static struct wire *
make_wire(size_t input_max, size_t output_max)
{
	struct wire *wire = NULL;

	assert_int_equal(wire_new(input_max, output_max, &wire), 0);
	return wire;
}

static void
expect_message(struct wire *wire, const char *expected)
{
	const char *text = NULL;
	size_t length = 0;

	assert_int_equal(wire_next(wire, &text, &length), 1);
	assert_int_equal(length, strlen(expected));
	assert_string_equal(text, expected);
}

static void
expect_none(struct wire *wire)
{
	const char *text;
	size_t length;

	assert_int_equal(wire_next(wire, &text, &length), 0);
}

static size_t
count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

/* --- framing --------------------------------------------------------------------------------------------- */

static void
test_messages_come_in_pieces(void **state)
{
	CLEANUP(wire_free) struct wire *wire = make_wire(100, 100);
	const char text[] = "{\"a\":1}";

	(void) state;
	assert_false(wire_buffered(wire));
	for (size_t i = 0; i < sizeof(text); i++) {
		expect_none(wire);
		assert_int_equal(wire_feed(wire, text + i, 1), 0);
		assert_true(wire_buffered(wire));
	}
	expect_message(wire, text);
	assert_false(wire_buffered(wire));
	expect_none(wire);
}

static void
test_messages_come_together(void **state)
{
	CLEANUP(wire_free) struct wire *wire = make_wire(100, 100);

	(void) state;
	assert_int_equal(wire_feed(wire, "one\0\0three\0fo", 13), 0);
	expect_message(wire, "one");
	expect_message(wire, "");
	expect_message(wire, "three");
	expect_none(wire);
	assert_true(wire_buffered(wire));
	assert_int_equal(wire_feed(wire, "ur\0", 3), 0);
	expect_message(wire, "four");
}

static void
test_a_message_may_be_as_long_as_allowed(void **state)
{
	CLEANUP(wire_free) struct wire *wire = make_wire(10, 100);

	(void) state;
	assert_int_equal(wire_feed(wire, "0123456789", 10), 0);
	assert_int_equal(wire_feed(wire, "\0", 1), 0);
	expect_message(wire, "0123456789");
	/* One more byte is refused, whether it comes with the others or after them. */
	assert_int_equal(wire_feed(wire, "0123456789ab", 12), -EMSGSIZE);
	assert_int_equal(wire_feed(wire, "0123456789a", 11), 0);
	assert_int_equal(wire_feed(wire, "b", 1), -EMSGSIZE);
}

static void
test_a_full_buffer_of_whole_messages_is_no_long_message(void **state)
{
	CLEANUP(wire_free) struct wire *wire = make_wire(9, 100);

	(void) state;
	assert_int_equal(wire_feed(wire,
				   "0123\0"
				   "5678\0",
				   10),
			 0);
	assert_int_equal(wire_feed(wire, "x", 1), -ENOBUFS);
	expect_message(wire, "0123");
	assert_int_equal(wire_feed(wire, "x", 1), 0);
	expect_message(wire, "5678");
}

static void
test_many_messages_through_one_buffer(void **state)
{
	CLEANUP(wire_free) struct wire *wire = make_wire(64, 100);
	char text[64];

	(void) state;
	/* The buffer moves its contents to the front again and again; nothing may be lost or repeated. */
	for (int i = 0; i < 10000; i++) {
		int length = snprintf(text, sizeof(text), "message number %d", i);

		assert_int_equal(wire_feed(wire, text, (size_t) length + 1), 0);
		if (i % 2 == 0)
			continue;
		snprintf(text, sizeof(text), "message number %d", i - 1);
		expect_message(wire, text);
		snprintf(text, sizeof(text), "message number %d", i);
		expect_message(wire, text);
	}
}

/* --- calls ----------------------------------------------------------------------------------------------- */

static void
test_good_calls(void **state)
{
	static const struct {
		const char *text, *method;
		size_t members;
		bool more, oneway;
	} rows[] = {
		{"{\"method\":\"a.b.C\"}", "a.b.C", 0, false, false},
		{"{\"method\":\"a.b.C\",\"parameters\":{}}", "a.b.C", 0, false, false},
		{"{\"method\":\"a.b.C\",\"parameters\":null}", "a.b.C", 0, false, false},
		{"{\"method\":\"C\",\"parameters\":{\"x\":1,\"y\":[2,{}]},\"more\":true}", "C", 2, true, false},
		{"{\"oneway\":true,\"method\":\"a.b.C\",\"more\":false,\"upgrade\":false}", "a.b.C", 0, false, true},
		{"{\"method\":\"a.b.C\",\"later\":{\"extension\":1}}", "a.b.C", 0, false, false},
		{" {\"method\" : \"a.b.C\" , \"parameters\":{\"quote\":\"\\\"[[[\"}} ", "a.b.C", 1, false, false},
	};

	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		CLEANUP(wire_call_clear) struct wire_call call = {0};
		struct error error = {0};

		assert_int_equal(wire_call_parse(rows[i].text, strlen(rows[i].text), &call, &error), 0);
		assert_string_equal(call.method, rows[i].method);
		assert_int_equal(json_object_size(call.parameters), rows[i].members);
		assert_int_equal(call.more, rows[i].more);
		assert_int_equal(call.oneway, rows[i].oneway);
		assert_int_equal(error.code, 0);
	}
}

static void
expect_bad_call(const char *text, size_t length, const char *word)
{
	struct wire_call call = {0};
	struct error error = {0};

	assert_int_equal(wire_call_parse(text, length, &call, &error), -EBADMSG);
	assert_null(call.method);
	assert_null(call.parameters);
	if (!strstr(error.text, word))
		fail_msg("\"%s\" does not say \"%s\"", error.text, word);
}

static void
test_bad_calls(void **state)
{
	static const struct {
		const char *text, *word;
	} rows[] = {
		{"", "JSON"},
		{"hello", "JSON"},
		{"7", "JSON"},
		{"[]", "method"},
		{"{}", "method"},
		{"{\"method\":7}", "method"},
		{"{\"method\":\"\"}", "method"},
		{"{\"method\":\"a.b\\u0000c\"}", "JSON"},
		{"{\"method\":\"\xff\"}", "JSON"},
		{"{\"method\":\"a\"} x", "JSON"},
		{"{\"method\":\"a\"", "JSON"},
		{"{\"method\":\"a\",\"method\":\"b\"}", "duplicate"},
		{"{\"method\":\"a\",\"parameters\":[]}", "parameters"},
		{"{\"method\":\"a\",\"parameters\":\"x\"}", "parameters"},
		{"{\"method\":\"a\",\"parameters\":{\"x\":1,\"x\":2}}", "duplicate"},
		{"{\"method\":\"a\",\"more\":1}", "more"},
		{"{\"method\":\"a\",\"oneway\":\"yes\"}", "oneway"},
		{"{\"method\":\"a\",\"upgrade\":true}", "upgrade"},
	};
	char method[400];

	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		expect_bad_call(rows[i].text, strlen(rows[i].text), rows[i].word);
	snprintf(method, sizeof(method), "{\"method\":\"%0300d\"}", 0);
	expect_bad_call(method, strlen(method), "256");
}

/* {"method":"a","parameters":{"x":[[[...]]]}} or with as many members. */
static char *
make_big_call(const char *piece, size_t count, const char *end)
{
	char *text = malloc(100 + count * (strlen(piece) + strlen(end)));

	assert_non_null(text);
	strcpy(text, "{\"method\":\"a\",\"parameters\":{\"x\":[");
	for (size_t i = 0; i < count; i++)
		strcat(text, piece);
	strcat(text, "0");
	for (size_t i = 0; i < count; i++)
		strcat(text, end);
	strcat(text, "]}}");
	return text;
}

static void
test_calls_are_bounded(void **state)
{
	static const struct {
		const char *piece, *end;
		size_t good, bad;
	} rows[] = {{"[", "]", 61, 62}, {"0,", "", 511, 512}, {"[],", "", 61, 62}};

	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		CLEANUP(wire_call_clear) struct wire_call call = {0};
		CLEANUP_FREE char *good = make_big_call(rows[i].piece, rows[i].good, rows[i].end);
		CLEANUP_FREE char *bad = make_big_call(rows[i].piece, rows[i].bad, rows[i].end);

		assert_int_equal(wire_call_parse(good, strlen(good), &call, NULL), 0);
		expect_bad_call(bad, strlen(bad), "more than");
	}
}

/* --- sockets --------------------------------------------------------------------------------------------- */

static void
make_pair(int pair[2])
{
	int small = 4096;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	/* So that one long message cannot leave at once. */
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
}

static void
test_a_long_message_crosses_a_small_socket(void **state)
{
	CLEANUP(wire_free) struct wire *sender = make_wire(10, 300000);
	CLEANUP(wire_free) struct wire *receiver = make_wire(300000, 10);
	CLEANUP_FREE char *big = malloc(200001);
	json_t *message, *again;
	size_t length;
	const char *text;
	bool waited = false;
	int pair[2];

	(void) state;
	assert_non_null(big);
	for (int i = 0; i < 200000; i++)
		big[i] = (char) ('a' + i % 26);
	big[200000] = '\0';
	message = json_pack("{s:s}", "text", big);
	make_pair(pair);
	assert_int_equal(wire_queue(sender, message), 0);
	while (wire_next(receiver, &text, &length) == 0) {
		int r = wire_flush(sender, pair[0]);

		assert_true(r == 0 || r == -EAGAIN);
		waited = waited || r == -EAGAIN;
		assert_true(wire_receive(receiver, pair[1]) > 0);
	}
	assert_true(waited);
	assert_int_equal(wire_pending(sender), 0);
	again = json_loadb(text, length, 0, NULL);
	assert_true(json_equal(message, again));
	assert_int_equal(wire_receive(receiver, pair[1]), -EAGAIN);
	close(pair[0]);
	assert_int_equal(wire_receive(receiver, pair[1]), 0);
	close(pair[1]);
	json_decref(message);
	json_decref(again);
}

static void
test_output_is_bounded(void **state)
{
	CLEANUP(wire_free) struct wire *wire = make_wire(10, 24);
	json_t *message = json_pack("{s:s}", "a", "0123"); /* 13 bytes with its NUL */
	json_t *empty = json_object();                     /* 3 */

	(void) state;
	assert_int_equal(wire_queue(wire, message), 0);
	assert_int_equal(wire_pending(wire), 13);
	assert_int_equal(wire_queue(wire, message), -ENOBUFS);
	assert_int_equal(wire_pending(wire), 13);
	for (int i = 0; i < 3; i++)
		assert_int_equal(wire_queue(wire, empty), 0);
	assert_int_equal(wire_queue(wire, empty), -ENOBUFS);
	assert_int_equal(wire_pending(wire), 22);
	json_decref(message);
	json_decref(empty);
}

static void
test_messages_written_before_are_bounded_too(void **state)
{
	CLEANUP(wire_free) struct wire *wire = make_wire(10, 24);
	char got[24];
	int pair[2];

	(void) state;
	make_pair(pair);
	assert_int_equal(wire_queue_written(wire, strdup("{\"a\":\"01234567890123456\"}"), 25), -ENOBUFS);
	assert_int_equal(wire_pending(wire), 0);
	assert_int_equal(wire_queue_written(wire, strdup("{\"a\":\"0123\"}"), 12), 0);
	assert_int_equal(wire_queue_written(wire, strdup("{\"b\":12}"), 8), 0);
	assert_int_equal(wire_queue_written(wire, strdup("{}"), 2), -ENOBUFS);
	assert_int_equal(wire_pending(wire), 22);
	assert_int_equal(wire_flush(wire, pair[0]), 0);
	assert_int_equal(recv(pair[1], got, sizeof(got), 0), 22);
	assert_memory_equal(got, "{\"a\":\"0123\"}\0{\"b\":12}", 22);
	close(pair[0]);
	close(pair[1]);
}

static void
test_a_closed_socket_is_an_error_not_a_signal(void **state)
{
	CLEANUP(wire_free) struct wire *wire = make_wire(10, 100);
	json_t *message = json_object();
	int pair[2];

	(void) state;
	make_pair(pair);
	close(pair[1]);
	assert_int_equal(wire_queue(wire, message), 0);
	assert_int_equal(wire_flush(wire, pair[0]), -EPIPE);
	close(pair[0]);
	json_decref(message);
}

static void
test_a_descriptor_crosses_with_its_call(void **state)
{
	CLEANUP(wire_free) struct wire *sender = make_wire(10, 100);
	CLEANUP(wire_free) struct wire *receiver = make_wire(100, 10);
	json_t *message = json_object();
	int pair[2], tube[2], fd;
	char byte = 0;

	(void) state;
	make_pair(pair);
	assert_int_equal(pipe2(tube, O_CLOEXEC), 0);
	assert_int_equal(wire_send_with_descriptor(sender, pair[0], message, tube[1]), 0);
	assert_int_equal(wire_take_descriptor(receiver), -1);
	assert_int_equal(wire_receive(receiver, pair[1]), 3);
	expect_message(receiver, "{}");
	fd = wire_take_descriptor(receiver);
	assert_true(fd >= 0);
	assert_int_equal(wire_take_descriptor(receiver), -1);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(read(tube[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(fd);
	close(tube[0]);
	close(tube[1]);
	close(pair[0]);
	close(pair[1]);
	json_decref(message);
}

/* Sends one byte and `count` copies of descriptor 0. */
static void
send_descriptors(int fd, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 16)];
	} control = {0};
	struct iovec vector = {(char *) "x", 1};
	struct msghdr header = {.msg_iov = &vector,
				.msg_iovlen = 1,
				.msg_control = &control,
				.msg_controllen = CMSG_SPACE(sizeof(int) * count)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&header);
	int zero = 0;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * count);
	for (size_t i = 0; i < count; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &zero, sizeof(int));
	assert_int_equal(sendmsg(fd, &header, 0), 1);
}

static void
test_descriptors_are_bounded_and_never_leak(void **state)
{
	struct wire *wire = make_wire(100, 100);
	size_t before;
	int pair[2];

	(void) state;
	make_pair(pair);
	before = count_descriptors();
	send_descriptors(pair[0], WIRE_DESCRIPTORS_MAX - 1);
	assert_int_equal(wire_receive(wire, pair[1]), 1);
	assert_int_equal(count_descriptors(), before + WIRE_DESCRIPTORS_MAX - 1);
	/* More than there is room for, first by the wire's count, then by the kernel's. */
	send_descriptors(pair[0], 2);
	assert_int_equal(wire_receive(wire, pair[1]), -EMFILE);
	assert_int_equal(count_descriptors(), before + WIRE_DESCRIPTORS_MAX);
	wire_drop_descriptors(wire);
	assert_int_equal(count_descriptors(), before);
	send_descriptors(pair[0], 16);
	assert_int_equal(wire_receive(wire, pair[1]), -EMFILE);
	wire_free(&wire);
	assert_null(wire);
	assert_int_equal(count_descriptors(), before);
	close(pair[0]);
	close(pair[1]);
}

/* --- messages -------------------------------------------------------------------------------------------- */

static void
test_messages_have_their_shape(void **state)
{
	json_t *made[] = {
		wire_reply(NULL, false),
		wire_reply(json_pack("{s:i}", "x", 1), true),
		wire_error("a.b.Wrong", json_pack("{s:s}", "message", "no")),
		wire_request("a.b.C", NULL, false),
		wire_request("a.b.C", json_pack("{s:b}", "y", 0), true),
	};
	static const char *const expected[] = {
		"{\"parameters\":{}}",
		"{\"continues\":true,\"parameters\":{\"x\":1}}",
		"{\"error\":\"a.b.Wrong\",\"parameters\":{\"message\":\"no\"}}",
		"{\"method\":\"a.b.C\",\"parameters\":{}}",
		"{\"method\":\"a.b.C\",\"more\":true,\"parameters\":{\"y\":false}}",
	};

	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(made); i++) {
		CLEANUP_FREE char *text = json_dumps(made[i], JSON_COMPACT | JSON_SORT_KEYS);

		assert_non_null(text);
		assert_string_equal(text, expected[i]);
		json_decref(made[i]);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_come_in_pieces),
		cmocka_unit_test(test_messages_come_together),
		cmocka_unit_test(test_a_message_may_be_as_long_as_allowed),
		cmocka_unit_test(test_a_full_buffer_of_whole_messages_is_no_long_message),
		cmocka_unit_test(test_many_messages_through_one_buffer),
		cmocka_unit_test(test_good_calls),
		cmocka_unit_test(test_bad_calls),
		cmocka_unit_test(test_calls_are_bounded),
		cmocka_unit_test(test_a_long_message_crosses_a_small_socket),
		cmocka_unit_test(test_output_is_bounded),
		cmocka_unit_test(test_messages_written_before_are_bounded_too),
		cmocka_unit_test(test_a_closed_socket_is_an_error_not_a_signal),
		cmocka_unit_test(test_a_descriptor_crosses_with_its_call),
		cmocka_unit_test(test_descriptors_are_bounded_and_never_leak),
		cmocka_unit_test(test_messages_have_their_shape),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
