/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole flow of a request: answers, filters, requests that wait, failures and who is blamed. */
#include "request-stage.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static void
test_a_request_is_answered_and_counted(void **state UNUSED)
{
	enum request_next next;
	struct request *request = begin("GET", "/a/b", 0, &next);
	assert_int_equal(next, REQUEST_READ);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	const struct response *response = request_response(request);
	assert_int_equal(response->status, 200);
	assert_memory_equal(response->body, "hello", 5);
	assert_string_equal(response->headers[0].value, "/a/b");
	assert_false(response->close);
	assert_int_equal(done_calls, 0);
	request_end(&request, REQUEST_SENT);
	assert_null(request);
	assert_int_equal(done_calls, 1);
	assert_int_equal(last_outcome, MTLSD_SENT);
	assert_int_equal(last_class, 2);
	assert_int_equal(counted(PLUGIN_REQUESTS), 1);
	assert_int_equal(counted(PLUGIN_STATUS_2), 1);
	assert_int_equal(counted(PLUGIN_ESCAPED_BYTES), 48);
}

static void
test_pages_of_the_daemon_cost_no_plugin_a_call(void **state UNUSED)
{
	enum request_next next;
	static char *post[] = {(char *) "POST"};
	struct request *request = begin("GET", "/nowhere", 0, &next);
	assert_int_equal(next, REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 404);
	request_end(&request, REQUEST_SENT);

	stage->route.methods = (struct schema_strings){post, 1};
	request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_response(request)->status, 405);
	assert_string_equal(request_response(request)->headers[1].name, "Allow");
	request_end(&request, REQUEST_SENT);

	stage->route.methods.count = 0;
	stage->rule.any = false;
	stage->rule.uri = (char *) "spiffe://nobody";
	request = begin("GET", "/a/", 10, &next);
	assert_int_equal(next, REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 403);
	assert_true(request_response(request)->close); /* its body was not read */
	request_end(&request, REQUEST_SENT);
	assert_int_equal(counted(PLUGIN_REQUESTS), 0);
}

static mtlsd_action
echo_body(void *user UNUSED, mtlsd_request *request)
{
	size_t length;
	const void *body = host()->body(request, &length);
	host()->respond(request, 201, body, length);
	return MTLSD_DONE;
}

static void
test_bodies_are_buffered_up_to_their_limit(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = echo_body;
	struct request *request = begin("POST", "/a/", -1, &next);
	assert_int_equal(next, REQUEST_READ);
	for (int i = 0; i < 10; i++)
		assert_int_equal(request_feed(request, "0123456789", 10), REQUEST_READ);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->length, 100);
	request_end(&request, REQUEST_SENT);

	request = begin("POST", "/a/", -1, &next);
	assert_int_equal(request_feed(request, "0123456789", 10), REQUEST_READ);
	char big[91] = "";
	assert_int_equal(request_feed(request, big, sizeof(big)), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 413);
	assert_true(request_response(request)->close);
	request_end(&request, REQUEST_SENT);

	request = begin("POST", "/a/", 101, &next);
	assert_int_equal(next, REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 413);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(counted(PLUGIN_REQUESTS), 1);
}

static mtlsd_action
say_nothing(void *user UNUSED, mtlsd_request *request UNUSED)
{
	return MTLSD_DONE;
}

static mtlsd_action
say_pass(void *user UNUSED, mtlsd_request *request UNUSED)
{
	return MTLSD_PASS;
}

static mtlsd_action
say_odd(void *user UNUSED, mtlsd_request *request UNUSED)
{
	return (mtlsd_action) 77;
}

static void
test_wrong_answers_are_500(void **state UNUSED)
{
	mtlsd_action (*const wrong[])(void *, mtlsd_request *) = {say_nothing, say_pass, say_odd};
	enum request_next next;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		stage->back.descriptor.request = wrong[i];
		struct request *request = begin("GET", "/a/", 0, &next);
		assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
		assert_int_equal(request_response(request)->status, 500);
		request_end(&request, REQUEST_SENT);
		assert_int_equal(counted(PLUGIN_FAILED), i + 1);
	}
	assert_int_equal(done_calls, 3);
}

static mtlsd_action
mark(void *user UNUSED, mtlsd_request *request)
{
	assert_int_equal(host()->set_attribute(request, "who", "front"), 0);
	assert_int_equal(host()->add_header(request, "X-Front", "1"), 0);
	host()->respond(request, 299, "not this", 8); /* passing on takes it back */
	return MTLSD_PASS;
}

static mtlsd_action
tell(void *user UNUSED, mtlsd_request *request)
{
	const char *who = host()->attribute(request, "who");
	host()->respond(request, 200, who, strlen(who));
	assert_string_equal(host()->header(request, "ACCEPT", 1), "b");
	assert_null(host()->header(request, "ACCEPT", 2));
	assert_string_equal(host()->identity(request, MTLSD_ID_SUBJECT, 0), "CN=x");
	assert_null(host()->identity(request, MTLSD_ID_SAN_URI, 0));
	assert_null(host()->identity(request, (mtlsd_field) 99, 0));
	return MTLSD_DONE;
}

static mtlsd_action
refuse(void *user UNUSED, mtlsd_request *request)
{
	host()->respond(request, 401, "no", 2);
	return MTLSD_DONE;
}

static void
test_filters_pass_or_answer(void **state UNUSED)
{
	enum request_next next;
	stage->route.filter_count = 1;
	stage->front.descriptor.request = mark;
	stage->front.descriptor.done = count_done;
	stage->back.descriptor.request = tell;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_memory_equal(request_response(request)->body, "front", 5);
	assert_int_equal(request_response(request)->header_count, 1);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(done_calls, 2);

	stage->front.descriptor.request = refuse;
	request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 401);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(done_calls, 3);
	assert_int_equal(counted(PLUGIN_REQUESTS), 1);
}

static mtlsd_action
defer(void *user UNUSED, mtlsd_request *request)
{
	deferred = request;
	return MTLSD_DEFER;
}

static void *
answer_later(void *arg)
{
	mtlsd_request *request = arg;
	assert_int_equal(host()->respond(request, 202, "later", 5), 0);
	assert_int_equal(host()->finish(request, MTLSD_DONE), 0);
	return NULL;
}

static void
test_deferred_answers_come_from_another_thread(void **state UNUSED)
{
	enum request_next next;
	pthread_t thread;
	stage->back.descriptor.request = defer;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	assert_int_equal(stage->wire.suspended, 1);
	assert_int_equal(host()->finish(deferred, MTLSD_MORE), -EINVAL);
	pthread_create(&thread, NULL, answer_later, deferred);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	pthread_join(thread, NULL);
	assert_int_equal(request_response(request)->status, 202);
	request_end(&request, REQUEST_ABORTED);
	assert_int_equal(done_calls, 1);
	assert_int_equal(last_outcome, MTLSD_ABORTED);
}

static mtlsd_action
finish_at_once(void *user UNUSED, mtlsd_request *request)
{
	host()->respond(request, 203, NULL, 0);
	assert_int_equal(host()->finish(request, MTLSD_DONE), 0);
	return MTLSD_DEFER;
}

static void
test_finish_may_come_before_the_callback_returns(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = finish_at_once;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 203);
	assert_int_equal(stage->wire.suspended, 0);
	request_end(&request, REQUEST_SENT);
}

static void
test_a_missed_deadline_is_504_and_the_plugin_keeps_the_request(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = defer;
	stage->config_plugins[1].deadline = 1;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 504);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(counted(PLUGIN_DEADLINE), 1);
	assert_int_equal(plugin_visits(stage->plugins[1], &stage->back), 1);
	/* Everything of the request can still be read, nothing be said. */
	assert_string_equal(host()->path(deferred), "/a/");
	assert_int_equal(host()->respond(deferred, 200, "x", 1), -ECANCELED);
	assert_int_equal(host()->finish(deferred, MTLSD_DONE), -ECANCELED);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_int_equal(done_calls, 1);
	assert_int_equal(cancel_calls, 1);
	assert_int_equal(cancel_reason, MTLSD_DEADLINE);
}

static void
test_drain_cancels_what_is_held(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = defer;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	assert_false(plugin_drain(stage->plugins[1], &stage->back, 1000));
	assert_int_equal(plugin_cancel(stage->plugins[1], &stage->back, MTLSD_DRAIN), 1);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 503);
	assert_int_equal(counted(PLUGIN_CANCELLED), 1);
	assert_int_equal(host()->finish(deferred, MTLSD_FAIL), -ECANCELED);
	request_end(&request, REQUEST_SENT);
}

static void
test_a_client_that_left_is_nobodys_answer(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = defer;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	request_client_gone(request);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	request_end(&request, REQUEST_ABORTED);
	assert_int_equal(host()->finish(deferred, MTLSD_DONE), -ECANCELED);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_int_equal(counted(PLUGIN_STATUS_0), 1);
}

static void
test_without_an_instance_the_answer_is_503(void **state UNUSED)
{
	enum request_next next;
	plugin_switch(stage->plugins[1], NULL);
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 503);
	assert_string_equal(request_response(request)->headers[1].name, "Retry-After");
	request_end(&request, REQUEST_SENT);
	assert_int_equal(counted(PLUGIN_REFUSED_DISABLED), 1);
}

/* --- the breaker ---------------------------------------------------------------------------------------------------
 */

/* One whole request; its status. */
static int
status_of(enum request_outcome outcome)
{
	enum request_next next;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	int status = request_response(request)->status;
	request_end(&request, outcome);
	return status;
}

static enum breaker_state
breaker_now(void)
{
	struct breaker_view view;
	breaker_view(plugin_breaker(stage->plugins[1]), 0, &view);
	return view.state;
}

static void
test_failures_open_the_breaker_and_a_trial_closes_it(void **state UNUSED)
{
	enum request_next next;
	struct breaker *breaker = plugin_breaker(stage->plugins[1]);
	breaker_set(breaker, &(struct breaker_settings){
				     .failures = 2, .open = UINT64_C(3600000000), .max_open = UINT64_C(3600000000)});
	stage->back.descriptor.request = say_odd;
	assert_int_equal(status_of(REQUEST_SENT), 500);
	assert_true(breaker_is_closed(breaker));
	assert_int_equal(status_of(REQUEST_SENT), 500);
	assert_int_equal(breaker_now(), BREAKER_OPEN);
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 503);
	assert_string_equal(request_response(request)->headers[1].name, "Retry-After");
	assert_in_range(atoi(request_response(request)->headers[1].value), 3000, 3600);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(counted(PLUGIN_REFUSED_BREAKER), 1);
	assert_int_equal(counted(PLUGIN_REQUESTS), 2);
	assert_int_equal(done_calls, 2); /* the refused one cost the plugin no call */
	/* The time is up: one request decides. */
	breaker_let(breaker);
	breaker_set(breaker, &(struct breaker_settings){.failures = 2, .open = 0, .max_open = 0});
	breaker_trip(breaker, 0);
	stage->back.descriptor.request = hello;
	assert_int_equal(status_of(REQUEST_SENT), 200);
	assert_true(breaker_is_closed(breaker));
}

static void
test_what_says_nothing_of_the_plugin_leaves_the_breaker_alone(void **state UNUSED)
{
	enum request_next next;
	struct breaker *breaker = plugin_breaker(stage->plugins[1]);
	breaker_set(breaker, &(struct breaker_settings){.failures = 1, .open = 1, .max_open = 1});
	/* A client that leaves while the plugin has its request. */
	stage->back.descriptor.request = defer;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	request_client_gone(request);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	request_end(&request, REQUEST_ABORTED);
	assert_int_equal(host()->finish(deferred, MTLSD_DONE), -ECANCELED);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_true(breaker_is_closed(breaker));
	/* A drain. */
	request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	assert_int_equal(plugin_cancel(stage->plugins[1], &stage->back, MTLSD_DRAIN), 1);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	assert_int_equal(host()->finish(deferred, MTLSD_FAIL), -ECANCELED);
	request_end(&request, REQUEST_SENT);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_true(breaker_is_closed(breaker));
	/* No instance: a trial that never reached the plugin is given back. */
	breaker_trip(breaker, 0);
	plugin_switch(stage->plugins[1], NULL);
	assert_int_equal(status_of(REQUEST_SENT), 503);
	assert_int_equal(counted(PLUGIN_REFUSED_DISABLED), 1);
	plugin_switch(stage->plugins[1], &stage->back);
	stage->back.descriptor.request = hello;
	assert_int_equal(status_of(REQUEST_SENT), 200);
	assert_true(breaker_is_closed(breaker));
}

/* Where a filter passed on, the handler's failure is the handler's. */
static void
test_a_filter_is_not_blamed_for_its_handler(void **state UNUSED)
{
	const struct breaker_settings touchy = {.failures = 1, .open = 1, .max_open = 1};
	breaker_set(plugin_breaker(stage->plugins[0]), &touchy);
	breaker_set(plugin_breaker(stage->plugins[1]), &touchy);
	stage->route.filter_count = 1;
	stage->front.descriptor.request = mark;
	stage->back.descriptor.request = say_odd;
	assert_int_equal(request_service_apply(stage->service, &stage->config), 0);
	assert_int_equal(status_of(REQUEST_SENT), 500);
	assert_true(breaker_is_closed(plugin_breaker(stage->plugins[0])));
	assert_false(breaker_is_closed(plugin_breaker(stage->plugins[1])));
}

static void
test_a_missed_deadline_is_a_failure(void **state UNUSED)
{
	enum request_next next;
	breaker_set(plugin_breaker(stage->plugins[1]),
		    &(struct breaker_settings){.failures = 1, .open = 1, .max_open = 1});
	stage->back.descriptor.request = defer;
	stage->config_plugins[1].deadline = 1;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	assert_int_equal(host()->finish(deferred, MTLSD_DONE), -ECANCELED);
	request_end(&request, REQUEST_SENT);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_false(breaker_is_closed(plugin_breaker(stage->plugins[1])));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_request_is_answered_and_counted),
		TEST(test_pages_of_the_daemon_cost_no_plugin_a_call),
		TEST(test_bodies_are_buffered_up_to_their_limit),
		TEST(test_wrong_answers_are_500),
		TEST(test_filters_pass_or_answer),
		TEST(test_deferred_answers_come_from_another_thread),
		TEST(test_finish_may_come_before_the_callback_returns),
		TEST(test_a_missed_deadline_is_504_and_the_plugin_keeps_the_request),
		TEST(test_drain_cancels_what_is_held),
		TEST(test_a_client_that_left_is_nobodys_answer),
		TEST(test_without_an_instance_the_answer_is_503),
		TEST(test_failures_open_the_breaker_and_a_trial_closes_it),
		TEST(test_what_says_nothing_of_the_plugin_leaves_the_breaker_alone),
		TEST(test_a_filter_is_not_blamed_for_its_handler),
		TEST(test_a_missed_deadline_is_a_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
