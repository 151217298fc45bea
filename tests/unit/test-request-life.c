/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What hangs on requests and connections, how long it lives, and what of them is told as signals. */
#include "request-stage.h"

#include <errno.h>
#include <string.h>

static mtlsd_action
attach(void *user UNUSED, mtlsd_request *request)
{
	static int token;
	if (host()->connection_data(request) == NULL)
		host()->set_connection_data(request, &token, count_release);
	host()->set_data(request, &token, count_release);
	assert_ptr_equal(host()->data(request), &token);
	assert_non_null(host()->alloc(request, 100));
	host()->respond(request, 200, NULL, 0);
	return MTLSD_DONE;
}

static void
test_data_ends_with_what_it_hangs_on(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = attach;
	for (int i = 1; i <= 3; i++) {
		struct request *request = begin("GET", "/a/", 0, &next);
		assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
		request_end(&request, REQUEST_SENT);
		assert_int_equal(release_calls, i); /* the request's each time, the connection's never */
	}
	connection_release_instance(&stage->back);
	assert_int_equal(release_calls, 4);
	connection_close(stage->connection);
	assert_int_equal(release_calls, 4);
}

static void
test_headers_of_plugins_cannot_split_the_answer(void **state UNUSED)
{
	struct response response = {0};
	assert_int_equal(response_add_header(&response, "X", "a\r\nY: b", NULL), -EINVAL);
	assert_int_equal(response_add_header(&response, "X Y", "a", NULL), -EINVAL);
	assert_int_equal(response_add_header(&response, "", "a", NULL), -EINVAL);
	assert_int_equal(response_add_header(&response, "content-length", "3", NULL), -EINVAL);
	assert_int_equal(response_add_header(&response, "TRANSFER-ENCODING", "chunked", NULL), -EINVAL);
	for (int i = 0; i < 64; i++)
		assert_int_equal(response_add_header(&response, "X", "a", NULL), 0);
	assert_int_equal(response_add_header(&response, "X", "a", NULL), -E2BIG);
	response_clear(&response);
	char long_value[1800];
	memset(long_value, 'v', sizeof(long_value) - 1);
	long_value[sizeof(long_value) - 1] = '\0';
	assert_int_equal(response_add_header(&response, "X", long_value, NULL), 0);
	assert_int_equal(response_add_header(&response, "X", long_value, NULL), -E2BIG);
	assert_int_equal(response_set(&response, 199, "", 0), -EINVAL);
	assert_int_equal(response_set(&response, 600, "", 0), -EINVAL);
	assert_int_equal(response_set(&response, 200, NULL, 1), -EINVAL);
	response_clear(&response);
}

static void
test_snapshots_live_as_long_as_their_requests(void **state UNUSED)
{
	enum request_next next;
	struct request *request = begin("GET", "/a/", 0, &next);
	struct config other = stage->config;
	other.route_count = 0;
	assert_int_equal(request_service_apply(stage->service, &other), 0);
	assert_int_equal(request_service_settle(stage->service), 1);
	struct request *later = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_response(later)->status, 404);
	request_end(&later, REQUEST_SENT);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 200);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(request_service_settle(stage->service), 0);
	assert_int_equal(request_service_apply(stage->service, &stage->config), 0);
}

/* --- signals --------------------------------------------------------------------------------------------------------
 */

static void
ask(int status)
{
	enum request_next next;
	struct request *request = begin("GET", "/a/b", 0, &next);

	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, status);
	request_end(&request, REQUEST_SENT);
}

static mtlsd_action
answer_404(void *user UNUSED, mtlsd_request *request)
{
	host()->respond(request, 404, "", 0);
	return MTLSD_DONE;
}

static struct connection *
connect_as(const char *certificate, bool resumed)
{
	struct connection *connection = NULL;

	stage->identity.certificate_sha256 = certificate;
	const struct connection_peer peer = {.identity = &stage->identity,
					     .address = "192.0.2.1",
					     .listener = "main",
					     .tls_version = "TLS1.3",
					     .cipher = "AES",
					     .resumed = resumed};
	assert_int_equal(connection_new(&peer, &connection), 0);
	return connection;
}

static struct signals_sample
sampled(struct instance *instance)
{
	struct signals_sample sample;

	assert_true(plugin_sample(stage->plugins[1], instance, 105, &sample));
	return sample;
}

static void
test_connections_and_their_clients_are_told_once(void **state UNUSED)
{
	struct connection *first = stage->connection;

	ask(200);
	ask(200);
	stage->connection = connect_as("00a0", true); /* the same client, resumed */
	ask(200);
	struct connection *second = stage->connection;
	stage->connection = connect_as("00a1", false);
	stage->back.descriptor.request = answer_404;
	ask(404);
	struct signals_sample sample = sampled(&stage->back);
	assert_int_equal(sample.exposure.count[SIGNALS_REQUESTS], 4);
	assert_int_equal(sample.exposure.count[SIGNALS_ERRORS], 1);
	assert_int_equal(sample.exposure.count[SIGNALS_CONNECTIONS], 3);
	assert_int_equal(sample.exposure.count[SIGNALS_HANDSHAKES], 2);
	assert_int_equal(sample.exposure.count[SIGNALS_CLIENTS], 2);
	assert_int_equal(sample.exposure.count[SIGNALS_SECONDS], 100);
	assert_int_equal(sample.open_connections, 3);
	assert_int_equal(sample.inflight, 0);
	assert_int_equal(sample.live_bytes, 700);
	assert_int_equal(sample.live_objects, 10);
	assert_int_equal(sample.arena_bytes, 300);
	assert_int_equal(sample.foreign_bytes, 77);
	assert_int_equal(sample.resident_bytes, 4096);
	assert_int_equal(sample.largest_bytes, 800);
	connection_close(first);
	connection_unref(&first);
	connection_close(second);
	connection_unref(&second);
	sample = sampled(&stage->back);
	assert_int_equal(sample.open_connections, 1);
	assert_int_equal(sample.exposure.count[SIGNALS_CONNECTIONS], 3);
}

static void
test_exposures_begin_anew_with_the_instance(void **state UNUSED)
{
	struct instance fresh = stage->back;
	struct signals_sample sample;
	enum request_next next;

	ask(200);
	struct request *request = begin("GET", "/a/b", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(sampled(&stage->back).inflight, 1);
	assert_int_equal(exposure_new(&fresh.exposure), 0);
	plugin_switch(stage->plugins[1], &fresh);
	assert_int_equal(sampled(&fresh).exposure.count[SIGNALS_REQUESTS], 0);
	assert_int_equal(sampled(&fresh).inflight, 0);
	assert_false(plugin_sample(stage->plugins[1], &stage->back, 105, &sample));
	request_end(&request, REQUEST_ABORTED); /* the old one's: neither error nor one less inside the new one */
	ask(200);
	sample = sampled(&fresh);
	assert_int_equal(sample.exposure.count[SIGNALS_REQUESTS], 1);
	assert_int_equal(sample.exposure.count[SIGNALS_ERRORS], 0);
	assert_int_equal(sample.exposure.count[SIGNALS_CONNECTIONS], 1);
	assert_int_equal(sample.inflight, 0);
	/* The connection forgets an instance that has ended when it meets the next. */
	exposure_end(stage->back.exposure);
	plugin_switch(stage->plugins[1], &stage->back);
	exposure_release(&stage->back.exposure);
	assert_int_equal(exposure_new(&stage->back.exposure), 0);
	ask(200);
	assert_int_equal(sampled(&stage->back).open_connections, 1);
	connection_close(stage->connection);
	assert_int_equal(sampled(&stage->back).open_connections, 0);
	exposure_release(&fresh.exposure);
}

static unsigned shown;
static struct signals_sample last_shown;

static bool
note_sample(void *ctx, uint64_t now, const struct signals_sample *sample)
{
	assert_ptr_equal(ctx, &shown);
	assert_true(now > 0);
	last_shown = *sample;
	shown++;
	return false;
}

static void
test_some_requests_show_how_the_instance_does(void **state UNUSED)
{
	shown = 0;
	epoch = SIGNALS_SAMPLE_EVERY;
	ask(200); /* nobody looks */
	stage->back.observer = (struct instance_observer){.observe = note_sample, .ctx = &shown};
	epoch = SIGNALS_SAMPLE_EVERY - 1;
	ask(200);
	assert_int_equal(shown, 0);
	assert_int_equal(sampled(&stage->back).largest_bytes, 800);
	epoch = SIGNALS_SAMPLE_EVERY * 3;
	ask(200);
	assert_int_equal(shown, 1);
	assert_int_equal(last_shown.exposure.count[SIGNALS_REQUESTS], 3);
	assert_int_equal(last_shown.live_bytes, 700);
	assert_int_equal(last_shown.inflight, 0); /* it ends, and is not counted */
	assert_int_equal(last_shown.largest_bytes, 800);
	assert_int_equal(last_shown.resident_bytes, 4096);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_data_ends_with_what_it_hangs_on),
		TEST(test_headers_of_plugins_cannot_split_the_answer),
		TEST(test_connections_and_their_clients_are_told_once),
		TEST(test_exposures_begin_anew_with_the_instance),
		TEST(test_some_requests_show_how_the_instance_does),
		TEST(test_snapshots_live_as_long_as_their_requests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
