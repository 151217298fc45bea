/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What commands do, with a fake server behind them. */
#include "command-fixture.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* --- commands -------------------------------------------------------------------------------------------- */

static void
test_status_tells_addresses_and_refusals(void **state)
{
	json_t *reply = run_well(*state, "Status", "{}");
	const json_t *listener = json_array_get(json_object_get(reply, "listeners"), 0);
	const json_t *handshakes = json_object_get(reply, "handshakes");

	assert_string_equal(word(listener, "address"), "[::1]:40123");
	assert_int_equal(number(reply, "generation"), 4);
	assert_int_equal(number(handshakes, "refused_total"), 3);
	assert_int_equal(number(json_object_get(handshakes, "refused"), "revoked"), 3);
	assert_null(json_object_get(json_object_get(handshakes, "refused"), "accepted"));
	assert_int_equal(number(json_object_get(reply, "plugins"), "ready"), 2);
	assert_int_equal(number(json_object_get(reply, "plugins"), "live_bytes"), 8192);
	assert_true(number(json_object_get(reply, "memory"), "resident_bytes") > 0);
	json_decref(reply);
}

static void
test_unknown_plugins_get_the_nearest_name(void **state)
{
	static const char *const methods[] = {"Show", "Dump", "Evict", "Restart", "Enable", "Disable"};
	struct fake_server *fake = fake_server(((struct fixture *) *state)->server);

	for (size_t i = 0; i < ARRAY_LENGTH(methods); i++) {
		run_badly(*state, methods[i], "{\"plugin\":\"leek\"}", -ENOENT, "did you mean \"leak\"");
		run_badly(*state, methods[i], "{\"plugin\":\"something-else\"}", -ENOENT, "mtlsctl list");
	}
	assert_int_equal(fake->evictions + fake->restarts + fake->enables + fake->disables, 0);
}

static void
test_a_dry_run_changes_nothing(void **state)
{
	struct fake_server *fake = fake_server(((struct fixture *) *state)->server);

	for (const struct command *c = command_table; c->help; c++) {
		bool takes_plugin = c->arguments && strcmp(c->arguments[0].name, "plugin") == 0;
		json_t *reply;

		if (c->privilege != COMMAND_CHANGE)
			continue;
		reply = run_well(*state, c->method,
				 strcmp(c->method, "Sampling") == 0
					 ? "{\"plugin\":\"leak\",\"interval\":1,\"dry_run\":true}"
				 : takes_plugin ? "{\"plugin\":\"leak\",\"dry_run\":true}"
						: "{\"dry_run\":true}");
		assert_true(strlen(word(reply, "would")) > 0);
		json_decref(reply);
	}
	assert_int_equal(
		fake->evictions + fake->restarts + fake->enables + fake->disables + fake->reloads + fake->samplings, 0);
	run_badly(*state, "Restart", "{\"plugin\":\"leak\",\"dry_run\":true,\"if_instance\":9}", -ESTALE, "instance 3");
}

static void
test_evict(void **state)
{
	struct fake_server *fake = fake_server(((struct fixture *) *state)->server);
	json_t *reply = run_well(*state, "Evict", "{\"plugin\":\"cache\"}");

	assert_int_equal(number(reply, "claimed"), 1000);
	assert_int_equal(number(reply, "measured"), 1096);
	assert_true(fake->evict_target == UINT64_MAX);
	assert_int_equal(fake->evict_level, 1);
	json_decref(reply);
	reply = run_well(*state, "Evict", "{\"plugin\":\"cache\",\"bytes\":4096,\"level\":\"state\"}");
	assert_int_equal(fake->evict_target, 4096);
	assert_int_equal(fake->evict_level, 2);
	json_decref(reply);
	/* What prevents replays goes only on a word of its own. */
	run_badly(*state, "Evict", "{\"plugin\":\"cache\",\"level\":\"replay\"}", -EINVAL, "--drop-replay-state");
	assert_int_equal(fake->evictions, 2);
	reply = run_well(*state, "Evict", "{\"plugin\":\"cache\",\"level\":\"replay\",\"drop_replay_state\":true}");
	assert_int_equal(fake->evict_level, 3);
	json_decref(reply);
}

static void
test_restart(void **state)
{
	struct fake_server *fake = fake_server(((struct fixture *) *state)->server);
	json_t *reply = run_well(*state, "Restart", "{\"plugin\":\"leak\",\"if_instance\":3,\"drain_timeout\":250000}");

	assert_int_equal(number(reply, "old_instance"), 3);
	assert_int_equal(number(reply, "new_instance"), 4);
	assert_int_equal(fake->restart_if_instance, 3);
	assert_int_equal(fake->restart_timeout, 250000);
	json_decref(reply);
	run_badly(*state, "Restart", "{\"plugin\":\"leak\",\"if_instance\":2}", -ESTALE, "instance 3");
	assert_int_equal(fake->restarts, 1);
}

static void
test_failures_keep_their_kind(void **state)
{
	struct fake_server *fake = fake_server(((struct fixture *) *state)->server);
	static const char *const methods[] = {"Evict", "Restart", "Enable", "Disable", "Dump"};
	/* A missing file is no missing plugin. */
	static const struct {
		int given, expected;
	} codes[] = {{-EBUSY, -EBUSY}, {-ETIMEDOUT, -ETIMEDOUT}, {-ENOENT, -EIO}, {-EIO, -EIO}};

	for (size_t i = 0; i < ARRAY_LENGTH(codes); i++)
		for (size_t m = 0; m < ARRAY_LENGTH(methods); m++) {
			fake->failure = codes[i].given;
			run_badly(*state, methods[m], "{\"plugin\":\"leak\"}", codes[i].expected, "ordered to fail");
		}
}

static void
test_a_refused_reload_lists_every_mistake(void **state)
{
	struct fixture *f = *state;
	struct error error = {0};
	json_t *details;

	fake_server(f->server)->failure = -EINVAL;
	assert_int_equal(run(f, "Reload", "{}", &details, &error), -EIO);
	assert_non_null(strstr(error.text, "the old configuration stays"));
	assert_int_equal(json_array_size(json_object_get(details, "mistakes")), 2);
	assert_string_equal(json_string_value(json_array_get(json_object_get(details, "mistakes"), 1)),
			    "mtlsd.yaml:2:1: second");
	json_decref(details);
}

static void
test_check_config_answers_mistakes(void **state)
{
	json_t *reply = run_well(*state, "CheckConfig", "{\"contents\":\"wrong\",\"name\":\"x.yaml\"}");

	assert_true(json_is_false(json_object_get(reply, "valid")));
	assert_string_equal(json_string_value(json_array_get(json_object_get(reply, "mistakes"), 0)),
			    "x.yaml:1:1: it is wrong");
	json_decref(reply);
	reply = run_well(*state, "CheckConfig", "{\"contents\":\"fine\"}");
	assert_true(json_is_true(json_object_get(reply, "valid")));
	json_decref(reply);
}

static void
test_log_level(void **state)
{
	json_t *reply = run_well(*state, "LogLevel", "{\"level\":\"warning\"}");

	assert_string_equal(word(reply, "level"), "warning");
	assert_int_equal(log_level(), LOG_WARNING);
	json_decref(reply);
	reply = run_well(*state, "LogLevel", "{}");
	assert_string_equal(word(reply, "level"), "warning");
	assert_string_equal(word(reply, "before"), "warning");
	json_decref(reply);
}

static void
test_routes_say_who_may(void **state)
{
	json_t *reply = run_well(*state, "Routes", "{}");
	const json_t *route = json_array_get(json_object_get(reply, "routes"), 0);
	const json_t *allow = json_object_get(route, "allow");

	assert_string_equal(word(route, "match"), "prefix");
	assert_string_equal(word(route, "path"), "/leak");
	assert_string_equal(json_string_value(json_array_get(allow, 0)), "any verified client");
	assert_string_equal(json_string_value(json_array_get(allow, 1)), "dns *.example.org and subject CN=*");
	json_decref(reply);
}

static void
test_words_of_plugins_become_utf8(void **state)
{
	json_t *reply = run_well(*state, "Show", "{\"plugin\":\"leak\"}");

	assert_string_equal(word(json_object_get(reply, "plugin"), "summary"), "keeps \033[31mwhat? it gets");
	json_decref(reply);
}

static void
test_show_names_refusals_and_faults(void **state)
{
	json_t *reply = run_well(*state, "Show", "{\"plugin\":\"leak\"}");
	const json_t *faults = json_object_get(reply, "faults"), *refusal = json_object_get(reply, "refusal");

	assert_int_equal(json_array_size(faults), 1);
	assert_string_equal(word(json_array_get(faults, 0), "kind"), "free inside a block");
	assert_int_equal(number(json_array_get(faults, 0), "count"), 2);
	assert_string_equal(word(json_array_get(faults, 0), "place"), "leak.c:9");
	assert_int_equal(number(refusal, "count"), 4);
	assert_string_equal(word(refusal, "function"), "spill");
	assert_string_equal(word(refusal, "place"), "leak.c:7");
	assert_int_equal(number(json_object_get(reply, "own"), "resident_percent"), 1600);
	json_decref(reply);
}

static void
test_show_counts_nonces(void **state)
{
	json_t *reply = run_well(*state, "Show", "{\"plugin\":\"leak\"}");
	const json_t *nonces = json_object_get(reply, "nonces");

	assert_int_equal(number(nonces, "remembered"), 7);
	assert_int_equal(number(nonces, "capacity"), 64);
	assert_int_equal(number(nonces, "room"), 128);
	assert_int_equal(number(nonces, "window"), 300);
	assert_int_equal(number(nonces, "repeated"), 3);
	assert_int_equal(number(nonces, "untimely"), 2);
	assert_int_equal(number(nonces, "refused_full"), 0);
	json_decref(reply);
	/* A plugin without a store has none to show. */
	reply = run_well(*state, "Show", "{\"plugin\":\"cache\"}");
	assert_null(json_object_get(reply, "nonces"));
	json_decref(reply);
}

/* --- leaks ----------------------------------------------------------------------------------------------- */

static void
test_list_and_status_tell_verdicts(void **state)
{
	struct fake_server *fake = fake_server(((struct fixture *) *state)->server);
	json_t *reply = run_well(*state, "List", "{}");
	const json_t *plugins = json_object_get(reply, "plugins"), *leak = json_array_get(plugins, 0);

	assert_string_equal(word(leak, "verdict"), "confirmed");
	assert_string_equal(word(leak, "class"), "leak");
	assert_int_equal(number(leak, "seconds_to_limit"), 11400);
	assert_string_equal(word(json_array_get(plugins, 1), "verdict"), "ok");
	assert_null(json_object_get(json_array_get(plugins, 1), "seconds_to_limit"));
	json_decref(reply);
	reply = run_well(*state, "Status", "{}");
	assert_int_equal(number(json_object_get(reply, "plugins"), "leaks_confirmed"), 1);
	assert_int_equal(number(json_object_get(reply, "plugins"), "leaks_likely"), 0);
	json_decref(reply);
	fake->unwatched = true;
	reply = run_well(*state, "List", "{}");
	assert_null(json_object_get(json_array_get(json_object_get(reply, "plugins"), 0), "verdict"));
	json_decref(reply);
	reply = run_well(*state, "Show", "{\"plugin\":\"leak\"}");
	assert_null(json_object_get(reply, "leak"));
	assert_int_equal(json_array_size(json_object_get(reply, "history")), 0);
	json_decref(reply);
}

static void
test_show_tells_verdict_and_history(void **state)
{
	json_t *reply = run_well(*state, "Show", "{\"plugin\":\"leak\"}");
	const json_t *leak = json_object_get(reply, "leak"), *history = json_object_get(reply, "history");

	assert_non_null(strstr(word(leak, "sentence"), "at spill (leak.c:41)"));
	assert_string_equal(word(leak, "next"), "restart at a quiet moment");
	assert_int_equal(json_array_size(history), 4);
	assert_string_equal(word(json_array_get(history, 3), "event"), "confirmed");
	json_decref(reply);
}

static void
test_explain_names_sites_and_tests(void **state)
{
	json_t *reply = run_well(*state, "Explain", "{\"plugin\":\"leak\"}");
	const json_t *site = json_array_get(json_object_get(reply, "sites"), 0);
	const json_t *test = json_array_get(json_object_get(reply, "tests"), 1);
	struct config_plugin *cache = &fake_server(((struct fixture *) *state)->server)->config->plugins[1];

	assert_true(json_is_true(json_object_get(reply, "leak")));
	assert_string_equal(word(site, "function"), "spill");
	assert_string_equal(word(site, "place"), "leak.c:41");
	assert_string_equal(word(test, "name"), "growth");
	assert_string_equal(word(test, "wanted"), ">= 32768 bytes");
	assert_true(json_is_false(json_object_get(test, "passed")));
	/* Of the history only what is about probes. */
	assert_int_equal(json_array_size(json_object_get(reply, "history")), 2);
	assert_true(json_is_true(json_object_get(json_object_get(reply, "probe"), "confirmed")));
	json_decref(reply);
	reply = run_well(*state, "Explain", "{\"plugin\":\"cache\"}");
	assert_true(json_is_false(json_object_get(reply, "leak")));
	assert_null(json_object_get(reply, "growth"));
	json_decref(reply);
	fake_server(((struct fixture *) *state)->server)->unwatched = true;
	run_badly(*state, "Explain", "{\"plugin\":\"leak\"}", -ENODATA, "nothing is known of leak yet: it is ready");
	cache->leak.watch = false;
	run_badly(*state, "Explain", "{\"plugin\":\"cache\"}", -ENODATA, "memory.leak.watch is off");
	cache->leak.watch = true;
	run_badly(*state, "Explain", "{\"plugin\":\"leek\"}", -ENOENT, "did you mean \"leak\"");
}

static void
test_explain_records(void **state)
{
	struct error error = {0};
	json_t *reply = NULL;
	char text[64] = "";
	FILE *file = tmpfile();

	assert_non_null(file);
	assert_int_equal(
		run_output(*state, "Explain", "{\"plugin\":\"leak\",\"record\":true}", fileno(file), &reply, NULL), 0);
	rewind(file);
	assert_non_null(fgets(text, sizeof(text), file));
	assert_string_equal(text, "a record of leak\n");
	assert_int_equal(number(json_object_get(reply, "written"), "bytes"), 17);
	json_decref(reply);
	/* No record is no missing plugin. */
	assert_int_equal(
		run_output(*state, "Explain", "{\"plugin\":\"cache\",\"record\":true}", fileno(file), &reply, &error),
		-ENODATA);
	assert_non_null(strstr(error.text, "nothing was recorded of cache"));
	fclose(file);
}

static bool
has_finding(const json_t *reply, const char *check, const char *plugin)
{
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(reply, "findings"), i, row) {
		const char *of = json_string_value(json_object_get(row, "plugin"));

		if (strcmp(word(row, "check"), check) == 0 && strcmp(of ? of : "", plugin) == 0)
			return true;
	}
	return false;
}

static void
test_doctor_gathers_and_orders(void **state)
{
	struct fake_server *fake = fake_server(((struct fixture *) *state)->server);
	json_t *reply = run_well(*state, "Doctor", "{}");
	const json_t *first = json_array_get(json_object_get(reply, "findings"), 0), *report, *line;
	size_t i, seen = 0;

	assert_true(json_is_true(json_object_get(reply, "leak")));
	assert_true(json_is_false(json_object_get(reply, "well")));
	assert_int_equal(number(reply, "plugins"), 2);
	assert_string_equal(word(first, "check"), "leak");
	assert_string_equal(word(first, "plugin"), "leak");
	assert_string_equal(word(first, "next"), "mtlsctl explain leak");
	assert_true(has_finding(reply, "refused", "leak"));
	assert_true(has_finding(reply, "bad-frees", "leak"));
	/* What only requests that end badly leave behind. */
	assert_true(has_finding(reply, "error-escapes", "leak"));
	assert_false(has_finding(reply, "error-escapes", "cache"));
	assert_true(has_finding(reply, "no-probe", "cache"));
	assert_false(has_finding(reply, "no-probe", "leak"));
	assert_false(has_finding(reply, "restarts-stopped", "leak"));
	assert_true(has_finding(reply, "http-library", ""));
	assert_false(has_finding(reply, "expiry", ""));
	report = json_object_get(reply, "report");
	assert_string_equal(json_string_value(json_array_get(report, 0)),
			    "bad      leak: leaks 16.2 \xc2\xb1 0.4 bytes per request at spill (leak.c:41), 3h10min");
	assert_string_equal(json_string_value(json_array_get(report, 1)),
			    "         to its limit, confirmed by probe; next: restart at a quiet moment");
	assert_string_equal(json_string_value(json_array_get(report, 2)), "         -> mtlsctl explain leak");
	json_array_foreach(report, i, line) {
		assert_true(json_string_length(line) <= 82);
	}
	json_decref(reply);
	/* One plugin, and nothing of the daemon. */
	fake->outcome = VERDICT_SUSPECT;
	fake->stopped = true;
	reply = run_well(*state, "Doctor", "{\"plugin\":\"leak\"}");
	assert_true(json_is_false(json_object_get(reply, "leak")));
	assert_true(has_finding(reply, "suspect", "leak"));
	assert_true(has_finding(reply, "restarts-stopped", "leak"));
	assert_false(has_finding(reply, "http-library", ""));
	assert_false(has_finding(reply, "no-probe", "cache"));
	json_decref(reply);
	/* What is the same of both is said once. */
	fake->unwatched = true;
	fake->config->plugins[1].leak.watch = false;
	reply = run_well(*state, "Doctor", "{}");
	fake->config->plugins[1].leak.watch = true;
	assert_true(has_finding(reply, "not-watched", "cache"));
	assert_false(has_finding(reply, "not-watched", "leak"));
	json_array_foreach(json_object_get(reply, "report"), i, line) {
		seen += strstr(json_string_value(line), "cache, leak: 4 allocations got NULL") != NULL;
	}
	assert_int_equal(seen, 1);
	json_decref(reply);
	run_badly(*state, "Doctor", "{\"plugin\":\"leek\"}", -ENOENT, "did you mean \"leak\"");
}

/* --- escapes --------------------------------------------------------------------------------------------- */

static void
test_escapes_name_route_and_status(void **state)
{
	json_t *reply = run_well(*state, "Escapes", "{\"plugin\":\"leak\"}");
	const json_t *rows = json_object_get(reply, "escapes"), *row = json_array_get(rows, 0);

	assert_int_equal(json_array_size(rows), 2);
	assert_string_equal(word(row, "route"), "first");
	assert_string_equal(word(row, "status"), "5xx");
	assert_string_equal(word(row, "function"), "leak_keep");
	assert_string_equal(word(row, "place"), "leak.c:42");
	assert_int_equal(number(row, "per_request"), 16);
	/* What found no room in the books is of no route. */
	row = json_array_get(rows, 1);
	assert_null(json_object_get(row, "route"));
	assert_null(json_object_get(row, "status"));
	assert_int_equal(number(row, "bytes"), 48);
	json_decref(reply);
	reply = run_well(*state, "Escapes", "{}");
	assert_int_equal(json_array_size(json_object_get(reply, "escapes")), 2);
	json_decref(reply);
	reply = run_well(*state, "Escapes", "{\"top\":1}");
	assert_int_equal(json_array_size(json_object_get(reply, "escapes")), 1);
	json_decref(reply);
	run_badly(*state, "Escapes", "{\"plugin\":\"leek\"}", -ENOENT, "did you mean \"leak\"");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_status_tells_addresses_and_refusals, command_setup,
						command_teardown),
		cmocka_unit_test_setup_teardown(test_unknown_plugins_get_the_nearest_name, command_setup,
						command_teardown),
		cmocka_unit_test_setup_teardown(test_a_dry_run_changes_nothing, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_evict, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_restart, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_failures_keep_their_kind, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_a_refused_reload_lists_every_mistake, command_setup,
						command_teardown),
		cmocka_unit_test_setup_teardown(test_check_config_answers_mistakes, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_log_level, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_routes_say_who_may, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_words_of_plugins_become_utf8, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_show_names_refusals_and_faults, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_show_counts_nonces, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_list_and_status_tell_verdicts, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_show_tells_verdict_and_history, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_explain_names_sites_and_tests, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_explain_records, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_doctor_gathers_and_orders, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_escapes_name_route_and_status, command_setup, command_teardown),
	};

	return cmocka_run_group_tests_name("commands", tests, NULL, NULL);
}
