/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The JSON of the whoami plugin: whatever a certificate says, the answer is one valid object. The host is a fake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <mtlsd/plugin.h>

extern const mtlsd_plugin mtlsd_plugin_descriptor;

/* What the fake host knows and what it was told. */
static struct {
	const char *subject, *uri[4];
	int64_t not_after;
	int refuse_alloc;
	void *arena[4];
	size_t arenas;
	int status;
	char *answer;
	size_t length;
} fake;

static const char *
fake_identity(const mtlsd_request *request, mtlsd_field field, size_t index)
{
	(void) request;
	if (field == MTLSD_ID_SAN_URI)
		return fake.uri[index];
	return field == MTLSD_ID_SUBJECT && index == 0 ? fake.subject : NULL;
}

static int64_t
fake_date(const mtlsd_request *request)
{
	(void) request;
	return fake.not_after;
}

static const char *
fake_word(const mtlsd_request *request)
{
	(void) request;
	return "word";
}

static void *
fake_alloc(mtlsd_request *request, size_t size)
{
	(void) request;
	if (fake.refuse_alloc)
		return NULL;
	assert_true(fake.arenas < 4);
	return fake.arena[fake.arenas++] = malloc(size);
}

static int
fake_add_header(mtlsd_request *request, const char *name, const char *value)
{
	(void) request;
	if (strcmp(name, "Content-Type") == 0)
		assert_string_equal(value, "application/json");
	return 0;
}

static int
fake_respond(mtlsd_request *request, int status, const void *body, size_t length)
{
	(void) request;
	fake.status = status;
	fake.answer = malloc(length);
	memcpy(fake.answer, body, length);
	fake.length = length;
	return 0;
}

static const mtlsd_host host = {
	.size = sizeof(mtlsd_host),
	.identity = fake_identity,
	.not_before = fake_date,
	.not_after = fake_date,
	.peer_address = fake_word,
	.tls_version = fake_word,
	.alloc = fake_alloc,
	.add_header = fake_add_header,
	.respond = fake_respond,
};

/* Asks the plugin and parses what it answers. */
static json_t *
whoami(void)
{
	char error[200] = "";
	void *user = NULL;
	json_error_t why;
	json_t *told;

	assert_int_equal(mtlsd_plugin_descriptor.init(&host, NULL, NULL, &user, error, sizeof(error)), 0);
	assert_int_equal(mtlsd_plugin_descriptor.request(user, NULL), MTLSD_DONE);
	assert_int_equal(fake.status, 200);
	told = json_loadb(fake.answer, fake.length, JSON_REJECT_DUPLICATES, &why);
	if (!told)
		fail_msg("no JSON: %s at %d: %.*s", why.text, why.position, (int) fake.length, fake.answer);
	free(fake.answer);
	while (fake.arenas > 0)
		free(fake.arena[--fake.arenas]);
	return told;
}

static const char *
told_subject(const char *subject)
{
	static char text[256];
	json_t *told;

	fake.subject = subject;
	told = whoami();
	snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(told, "subject")));
	json_decref(told);
	return text;
}

static int
reset(void **state)
{
	(void) state;
	memset(&fake, 0, sizeof(fake));
	return 0;
}

static void
test_plain(void **state)
{
	json_t *told, *uri;

	(void) state;
	fake.subject = "CN=client";
	fake.uri[0] = "spiffe://example.org/a";
	fake.uri[1] = "spiffe://example.org/b";
	fake.not_after = 951782400;
	told = whoami();
	assert_string_equal(json_string_value(json_object_get(told, "subject")), "CN=client");
	assert_true(json_is_null(json_object_get(told, "issuer")));
	uri = json_object_get(told, "uri");
	assert_int_equal(json_array_size(uri), 2);
	assert_string_equal(json_string_value(json_array_get(uri, 1)), "spiffe://example.org/b");
	assert_int_equal(json_array_size(json_object_get(told, "dns")), 0);
	assert_string_equal(json_string_value(json_object_get(told, "not_after")), "2000-02-29T00:00:00Z");
	assert_string_equal(json_string_value(json_object_get(told, "tls")), "word");
	json_decref(told);
}

static void
test_escapes(void **state)
{
	(void) state;
	assert_string_equal(told_subject(""), "");
	assert_string_equal(told_subject("a\"b\\c"), "a\"b\\c");
	assert_string_equal(told_subject("\x01\t\n\r\x1f\x7f"), "\x01\t\n\r\x1f\x7f");
	assert_string_equal(told_subject("caf\xc3\xa9 \xf0\x9f\x94\x91"), "caf\xc3\xa9 \xf0\x9f\x94\x91");
	assert_string_equal(told_subject("\xf4\x8f\xbf\xbf"), "\xf4\x8f\xbf\xbf");
	assert_string_equal(told_subject("\xed\x9f\xbf\xee\x80\x80"), "\xed\x9f\xbf\xee\x80\x80");
}

static void
test_not_utf8(void **state)
{
	(void) state;
	assert_string_equal(told_subject("\xff"), "\ufffd");
	assert_string_equal(told_subject("\x80x"), "\ufffdx");
	assert_string_equal(told_subject("\xc0\xaf"), "\ufffd\ufffd");         /* overlong '/' */
	assert_string_equal(told_subject("\xe0\x80\xaf"), "\ufffd\ufffd\ufffd"); /* longer still */
	assert_string_equal(told_subject("\xed\xa0\x80"), "\ufffd\ufffd\ufffd"); /* a surrogate */
	assert_string_equal(told_subject("\xf4\x90\x80\x80"), "\ufffd\ufffd\ufffd\ufffd");
	assert_string_equal(told_subject("a\xe2\x82"), "a\ufffd\ufffd"); /* cut by the end */
	assert_string_equal(told_subject("\xc3\""), "\ufffd\"");       /* must not swallow the quote */
}

static void
test_every_byte(void **state)
{
	(void) state;
	for (unsigned first = 1; first < 256; first++) {
		for (unsigned second = 1; second < 256; second++) {
			const char text[] = {'<', (char) first, (char) second, '>', '\0'};
			size_t length;

			length = strlen(told_subject(text)); /* it parsed */
			assert_in_range(length, 4, 8);
		}
	}
}

static void
test_no_memory(void **state)
{
	char error[200] = "";
	void *user = NULL;

	(void) state;
	fake.refuse_alloc = 1;
	assert_int_equal(mtlsd_plugin_descriptor.init(&host, NULL, NULL, &user, error, sizeof(error)), 0);
	assert_int_equal(mtlsd_plugin_descriptor.request(user, NULL), MTLSD_FAIL);
	assert_int_equal(fake.status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_plain, reset),
		cmocka_unit_test_setup(test_escapes, reset),
		cmocka_unit_test_setup(test_not_utf8, reset),
		cmocka_unit_test_setup(test_every_byte, reset),
		cmocka_unit_test_setup(test_no_memory, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
