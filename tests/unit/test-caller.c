/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls on the control socket: order, errors, jobs. */
#include "control-fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

/* --- calls ----------------------------------------------------------------------------------------------------- */

static void
test_calls_are_answered_in_order(void **state)
{
	struct fixture *f = *state;
	struct client client = make_client(f->path);

	/* A slow one between quick ones: nothing overtakes it. */
	for (int i = 0; i < 50; i++) {
		client_say(&client, show_leak);
		client_say(&client, dump_leak);
		client_say(&client, status);
	}
	for (int i = 0; i < 50; i++) {
		json_t *reply = client_hear(f, &client);

		assert_non_null(json_object_get(json_object_get(reply, "parameters"), "requests"));
		json_decref(reply);
		expect_word(client_hear(f, &client), "parameters", "plugin", "leak");
		expect_word(client_hear(f, &client), "parameters", "state", "running");
	}
	client_end(&client);
}

static void
test_what_was_asked_is_answered_after_the_asker_closed_his_half(void **state)
{
	struct fixture *f = *state;
	struct client client = make_client(f->path);

	client_say(&client, dump_leak);
	client_say(&client, status);
	assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
	expect_word(client_hear(f, &client), "parameters", "plugin", "leak");
	expect_word(client_hear(f, &client), "parameters", "state", "running");
	assert_null(client_hear(f, &client));
	client_end(&client);
}

static void
test_errors_have_their_names(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *call, *error;
	} rows[] = {
		{"{\"method\":\"io.mtlsd.Control.Nothing\"}", "org.varlink.service.MethodNotFound"},
		{"{\"method\":\"org.example.Nothing\"}", "org.varlink.service.InterfaceNotFound"},
		{"{\"method\":\"Status\"}", "org.varlink.service.InterfaceNotFound"},
		{"{\"method\":\"io.mtlsd.Control.\"}", "org.varlink.service.MethodNotFound"},
		{"{\"method\":\"org.varlink.service.Nothing\"}", "org.varlink.service.MethodNotFound"},
		{"{\"method\":\"org.varlink.service.GetInterfaceDescription\"}",
		 "org.varlink.service.InvalidParameter"},
		{"{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"x\"}}",
		 "org.varlink.service.InterfaceNotFound"},
		{"{\"method\":\"io.mtlsd.Control.Show\"}", "io.mtlsd.Control.InvalidArgument"},
		{"{\"method\":\"io.mtlsd.Control.Show\",\"parameters\":{\"plugin\":\"x\"}}",
		 "io.mtlsd.Control.NoSuchPlugin"},
		{"{\"method\":\"io.mtlsd.Control.Restart\",\"parameters\":{\"plugin\":\"leak\",\"if_instance\":9}}",
		 "io.mtlsd.Control.Stale"},
		{"{\"method\":\"io.mtlsd.Control.Dump\",\"parameters\":{\"plugin\":\"leak\",\"output\":true}}",
		 "io.mtlsd.Control.InvalidArgument"},
	};
	struct client client = make_client(f->path);

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		client_say(&client, rows[i].call);
		expect_word(client_hear(f, &client), "error", NULL, rows[i].error);
	}
	fake_server(f->server)->failure = -EBUSY;
	client_say(&client, restart_leak);
	expect_word(client_hear(f, &client), "error", NULL, "io.mtlsd.Control.Busy");
	fake_server(f->server)->failure = -ETIMEDOUT;
	client_say(&client, restart_leak);
	expect_word(client_hear(f, &client), "error", NULL, "io.mtlsd.Control.TimedOut");
	fake_server(f->server)->failure = -EIO;
	client_say(&client, restart_leak);
	expect_word(client_hear(f, &client), "error", NULL, "io.mtlsd.Control.Failed");
	client_end(&client);
}

static void
test_a_message_that_makes_no_sense_ends_its_connection_only(void **state)
{
	struct fixture *f = *state;
	static const char *const rows[] = {"", "hello", "[]", "{\"method\":1}", "{\"method\":\"a\",\"method\":\"b\"}"};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct client client = make_client(f->path);

		client_say(&client, rows[i]);
		client_say(&client, restart_leak);
		expect_word(client_hear(f, &client), "error", NULL, "io.mtlsd.Control.InvalidArgument");
		/* What came behind it was not done. */
		assert_null(client_hear(f, &client));
		client_end(&client);
	}
	assert_int_equal(fake_server(f->server)->restarts, 0);
	expect_alive(f);
}

static void
test_a_call_without_end_is_cut_off(void **state)
{
	struct fixture *f = *state;
	struct client client = make_client(f->path);
	CLEANUP_FREE char *big = malloc(WIRE_CALL_MAX + 10);
	size_t sent = 0;

	assert_non_null(big);
	memset(big, 'x', WIRE_CALL_MAX + 10);
	while (sent < WIRE_CALL_MAX + 10) {
		ssize_t n = send(client.fd, big + sent, WIRE_CALL_MAX + 10 - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EPIPE)
			break;
		assert_true(n > 0 || errno == EAGAIN);
		if (n > 0)
			sent += (size_t) n;
		else
			assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
	}
	assert_null(client_hear(f, &client));
	client_end(&client);
	expect_alive(f);
}

static void
test_oneway_is_done_and_not_answered(void **state)
{
	struct fixture *f = *state;
	struct client client = make_client(f->path);

	client_say(&client, "{\"method\":\"io.mtlsd.Control.Show\",\"oneway\":true,\"parameters\":{\"plugin\":\"x\"}}");
	client_say(&client, "{\"method\":\"io.mtlsd.Control.Nothing\",\"oneway\":true}");
	client_say(&client, "{\"method\":\"io.mtlsd.Control.Restart\",\"oneway\":true,\"more\":true,"
			    "\"parameters\":{\"plugin\":\"leak\"}}");
	client_say(&client, status);
	expect_word(client_hear(f, &client), "parameters", "state", "running");
	while (fake_server_read(f->server, &fake_server(f->server)->restarts) == 0)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
	client_end(&client);
}

/* --- jobs -------------------------------------------------------------------------------------------------------- */

static void
test_more_tells_the_job_first(void **state)
{
	struct fixture *f = *state;
	struct client client = make_client(f->path);
	json_t *first, *last;

	client_say(&client,
		   "{\"method\":\"io.mtlsd.Control.Restart\",\"more\":true,\"parameters\":{\"plugin\":\"leak\"}}");
	first = client_hear(f, &client);
	last = client_hear(f, &client);
	assert_true(json_is_true(json_object_get(first, "continues")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(first, "parameters"), "job")), 1);
	assert_null(json_object_get(last, "continues"));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(last, "parameters"), "new_instance")), 4);
	json_decref(first);
	json_decref(last);
	client_end(&client);
}

static void
test_no_block_answers_at_once(void **state)
{
	struct fixture *f = *state;
	struct client client = make_client(f->path);
	json_t *reply;

	fake_server(f->server)->hold = true;
	client_say(&client,
		   "{\"method\":\"io.mtlsd.Control.Restart\",\"parameters\":{\"plugin\":\"leak\",\"no_block\":true}}");
	reply = client_hear(f, &client);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(reply, "parameters"), "job")), 1);
	json_decref(reply);
	fake_server_wait_inside(f->server);
	client_say(&client, "{\"method\":\"io.mtlsd.Control.Jobs\"}");
	reply = client_hear(f, &client);
	expect_word(json_incref(json_array_get(json_object_get(json_object_get(reply, "parameters"), "jobs"), 0)),
		    "state", NULL, "running");
	json_decref(reply);
	fake_server_release(f->server);
	client_end(&client);
}

static void
test_a_job_outlives_its_caller(void **state)
{
	struct fixture *f = *state;
	struct client client = make_client(f->path);

	fake_server(f->server)->hold = true;
	client_say(&client,
		   "{\"method\":\"io.mtlsd.Control.Evict\",\"more\":true,\"parameters\":{\"plugin\":\"leak\"}}");
	json_decref(client_hear(f, &client));
	fake_server_wait_inside(f->server);
	client_end(&client);
	/* The daemon notices, and goes on. */
	expect_alive(f);
	fake_server_release(f->server);
	control_free(&f->control);
	assert_int_equal(fake_server(f->server)->evictions, 1);
}

static void
test_ending_answers_what_runs_and_begins_nothing(void **state)
{
	struct fixture *f = *state;
	struct client client = make_client(f->path);

	fake_server(f->server)->hold = true;
	client_say(&client,
		   "{\"method\":\"io.mtlsd.Control.Evict\",\"more\":true,\"parameters\":{\"plugin\":\"leak\"}}");
	client_say(&client, restart_leak);
	json_decref(client_hear(f, &client));
	fake_server_wait_inside(f->server);
	fake_server_release(f->server);
	control_free(&f->control);
	expect_word(client_hear(f, &client), "parameters", "plugin", "leak");
	assert_null(client_hear(f, &client));
	assert_int_equal(fake_server(f->server)->evictions, 1);
	assert_int_equal(fake_server(f->server)->restarts, 0);
	client_end(&client);
}

static void
test_readers_leave_room_for_changes(void **state)
{
	struct fixture *f = *state;
	struct client readers[9], changer = make_client(f->path);
	json_t *reply;

	fake_server(f->server)->hold = true;
	/* One after the other: each is known to be in before the next asks. */
	for (int i = 0; i < 8; i++) {
		readers[i] = make_client(f->path);
		client_say(&readers[i], dump_leak);
		expect_alive(f);
		expect_alive(f);
	}
	readers[8] = make_client(f->path);
	client_say(&readers[8], dump_leak);
	expect_word(client_hear(f, &readers[8]), "error", NULL, "io.mtlsd.Control.Busy");
	client_say(&changer,
		   "{\"method\":\"io.mtlsd.Control.Restart\",\"more\":true,\"parameters\":{\"plugin\":\"leak\"}}");
	reply = client_hear(f, &changer);
	assert_true(json_is_true(json_object_get(reply, "continues")));
	json_decref(reply);
	fake_server_release(f->server);
	for (int i = 0; i < 8; i++) {
		expect_word(client_hear(f, &readers[i]), "parameters", "plugin", "leak");
		client_end(&readers[i]);
	}
	/* And room for readers again. */
	client_say(&readers[8], dump_leak);
	expect_word(client_hear(f, &readers[8]), "parameters", "plugin", "leak");
	client_end(&readers[8]);
	client_end(&changer);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_calls_are_answered_in_order, control_setup_started,
						control_teardown),
		cmocka_unit_test_setup_teardown(test_what_was_asked_is_answered_after_the_asker_closed_his_half,
						control_setup_started, control_teardown),
		cmocka_unit_test_setup_teardown(test_errors_have_their_names, control_setup_started, control_teardown),
		cmocka_unit_test_setup_teardown(test_a_message_that_makes_no_sense_ends_its_connection_only,
						control_setup_started, control_teardown),
		cmocka_unit_test_setup_teardown(test_a_call_without_end_is_cut_off, control_setup_started,
						control_teardown),
		cmocka_unit_test_setup_teardown(test_oneway_is_done_and_not_answered, control_setup_started,
						control_teardown),
		cmocka_unit_test_setup_teardown(test_more_tells_the_job_first, control_setup_started, control_teardown),
		cmocka_unit_test_setup_teardown(test_no_block_answers_at_once, control_setup_started, control_teardown),
		cmocka_unit_test_setup_teardown(test_a_job_outlives_its_caller, control_setup_started,
						control_teardown),
		cmocka_unit_test_setup_teardown(test_ending_answers_what_runs_and_begins_nothing, control_setup_started,
						control_teardown),
		cmocka_unit_test_setup_teardown(test_readers_leave_room_for_changes, control_setup_started,
						control_teardown),
	};

	return cmocka_run_group_tests_name("caller", tests, NULL, NULL);
}
