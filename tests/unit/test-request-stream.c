/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests that block a pool, bodies that come and go piece by piece. */
#include "request-stage.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* --- blocking plugins ------------------------------------------------------------------------------------------------
 */

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_signal = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int gate_waiting;

static mtlsd_action
wait_at_gate(void *user UNUSED, mtlsd_request *request)
{
	pthread_mutex_lock(&gate_lock);
	gate_waiting++;
	pthread_cond_broadcast(&gate_signal);
	while (!gate_open)
		pthread_cond_wait(&gate_signal, &gate_lock);
	pthread_mutex_unlock(&gate_lock);
	host()->respond(request, 200, "through", 7);
	return MTLSD_DONE;
}

static void
set_gate(bool open)
{
	pthread_mutex_lock(&gate_lock);
	gate_open = open;
	gate_waiting = 0;
	pthread_cond_broadcast(&gate_signal);
	pthread_mutex_unlock(&gate_lock);
}

static void
test_a_full_pool_answers_503_at_once(void **state UNUSED)
{
	enum request_next next;
	struct request *first, *second, *third;
	stage->back.descriptor.request = wait_at_gate;
	stage->back.descriptor.flags |= MTLSD_BLOCKING;
	breaker_set(plugin_breaker(stage->plugins[1]), &(struct breaker_settings){.failures = 1});
	assert_int_equal(pool_new("test", 1, 1, &stage->back.pool), 0);
	set_gate(false);
	first = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(first), REQUEST_WAIT);
	second = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(second), REQUEST_WAIT);
	third = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(third), REQUEST_ANSWER);
	assert_int_equal(request_response(third)->status, 503);
	request_end(&third, REQUEST_SENT);
	assert_int_equal(counted(PLUGIN_REFUSED_FULL), 1);
	set_gate(true);
	fake_transport_wait(&stage->wire); /* both */
	assert_int_equal(request_poll(first), REQUEST_ANSWER);
	assert_int_equal(request_poll(second), REQUEST_ANSWER);
	assert_memory_equal(request_response(second)->body, "through", 7);
	request_end(&first, REQUEST_SENT);
	request_end(&second, REQUEST_SENT);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_int_equal(done_calls, 2); /* the refused one never reached the plugin */
	assert_true(breaker_is_closed(plugin_breaker(stage->plugins[1])));
}

static void
test_a_blocking_call_past_its_deadline_is_answered_for(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = wait_at_gate;
	stage->back.descriptor.flags |= MTLSD_BLOCKING;
	stage->config_plugins[1].deadline = 1;
	assert_int_equal(pool_new("test", 1, 1, &stage->back.pool), 0);
	set_gate(false);
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 504);
	request_end(&request, REQUEST_SENT);
	set_gate(true);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_int_equal(counted(PLUGIN_STATUS_5), 1);
}

/* --- streams ---------------------------------------------------------------------------------------------------------
 */

static char uploaded[64];
static int pieces;

static mtlsd_action
want_more(void *user UNUSED, mtlsd_request *request UNUSED)
{
	uploaded[0] = '\0';
	pieces = 0;
	return MTLSD_MORE;
}

static mtlsd_action
take_piece(void *user UNUSED, mtlsd_request *request, const void *data, size_t length)
{
	if (length == 0) {
		host()->respond(request, 200, uploaded, strlen(uploaded));
		return MTLSD_DONE;
	}
	strncat(uploaded, data, length);
	pieces++;
	return strcmp(uploaded, "stop") == 0 ? MTLSD_FAIL : MTLSD_MORE;
}

static void
stream_an_upload(void)
{
	enum request_next next;
	struct request *request = begin("POST", "/a/", -1, &next);
	if (next == REQUEST_WAIT) {
		fake_transport_wait(&stage->wire);
		next = request_poll(request);
	}
	assert_int_equal(next, REQUEST_READ);
	for (int i = 0; i < 3; i++) {
		char transient[8] = "piece;";
		next = request_feed(request, transient, 6);
		memset(transient, 'x', sizeof(transient)); /* the transport's buffer is used again */
		if (next == REQUEST_WAIT) {
			fake_transport_wait(&stage->wire);
			next = request_poll(request);
		}
		assert_int_equal(next, REQUEST_READ);
	}
	next = request_upload_complete(request);
	if (next == REQUEST_WAIT) {
		fake_transport_wait(&stage->wire);
		next = request_poll(request);
	}
	assert_int_equal(next, REQUEST_ANSWER);
	assert_memory_equal(request_response(request)->body, "piece;piece;piece;", 18);
	assert_int_equal(pieces, 3);
	assert_false(request_response(request)->close);
	request_end(&request, REQUEST_SENT);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_int_equal(done_calls, 1);
}

static void
test_uploads_are_streamed(void **state UNUSED)
{
	stage->back.descriptor.flags |= MTLSD_STREAM_BODY;
	stage->back.descriptor.request = want_more;
	stage->back.descriptor.body = take_piece;
	stream_an_upload();
}

static void
test_uploads_are_streamed_to_a_pool(void **state UNUSED)
{
	stage->back.descriptor.flags |= MTLSD_STREAM_BODY | MTLSD_BLOCKING;
	stage->back.descriptor.request = want_more;
	stage->back.descriptor.body = take_piece;
	assert_int_equal(pool_new("test", 2, 1, &stage->back.pool), 0);
	stream_an_upload();
}

static void
test_an_upload_may_be_cut_short_by_its_handler(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.flags |= MTLSD_STREAM_BODY;
	stage->back.descriptor.request = want_more;
	stage->back.descriptor.body = take_piece;
	struct request *request = begin("POST", "/a/", -1, &next);
	assert_int_equal(request_feed(request, "stop", 4), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 500);
	assert_true(request_response(request)->close);
	assert_int_equal(request_feed(request, "more", 4), REQUEST_ANSWER);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(done_calls, 1);
}

static int reads;

static ssize_t
read_thrice(void *context UNUSED, uint64_t position, char *buffer, size_t room)
{
	assert_true(room >= 4);
	if (position == 8 && reads++ == 0)
		return -EAGAIN;
	if (position >= 12)
		return 0;
	memcpy(buffer, "data", 4);
	return 4;
}

static mtlsd_action
stream_out(void *user UNUSED, mtlsd_request *request)
{
	const mtlsd_stream stream = {sizeof(stream), read_thrice, count_release};
	deferred = request;
	assert_int_equal(host()->respond_stream(request, 200, -1, &stream, NULL), 0);
	return MTLSD_DONE;
}

static void
test_answers_are_streamed(void **state UNUSED)
{
	enum request_next next;
	char buffer[64];
	reads = 0;
	stage->back.descriptor.request = stream_out;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_true(request_response(request)->streamed);
	assert_int_equal(request_stream_read(request, 0, buffer, sizeof(buffer)), 4);
	assert_int_equal(request_stream_read(request, 4, buffer, sizeof(buffer)), 4);
	assert_int_equal(request_stream_read(request, 8, buffer, sizeof(buffer)), 0);
	assert_int_equal(stage->wire.suspended, 1);
	assert_int_equal(stage->wire.resumed, 0);
	host()->stream_ready(deferred);
	assert_int_equal(stage->wire.resumed, 1);
	assert_int_equal(request_stream_read(request, 8, buffer, sizeof(buffer)), 4);
	assert_int_equal(request_stream_read(request, 12, buffer, sizeof(buffer)), -1);
	assert_int_equal(release_calls, 0);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(release_calls, 1);
	assert_int_equal(done_calls, 1);
}

static void
test_drain_breaks_a_stream_that_waits(void **state UNUSED)
{
	enum request_next next;
	char buffer[64];
	reads = 0;
	stage->back.descriptor.request = stream_out;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_stream_read(request, 8, buffer, sizeof(buffer)), 0);
	assert_int_equal(plugin_cancel(stage->plugins[1], &stage->back, MTLSD_DRAIN), 1);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_stream_read(request, 8, buffer, sizeof(buffer)), -2);
	request_end(&request, REQUEST_ABORTED);
	assert_int_equal(release_calls, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_full_pool_answers_503_at_once),
		TEST(test_a_blocking_call_past_its_deadline_is_answered_for),
		TEST(test_uploads_are_streamed),
		TEST(test_uploads_are_streamed_to_a_pool),
		TEST(test_an_upload_may_be_cut_short_by_its_handler),
		TEST(test_answers_are_streamed),
		TEST(test_drain_breaks_a_stream_that_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
