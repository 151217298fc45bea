/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verdicts with their reasons, as an operator reads them on 80 columns. */
#include "cleanup.h"
#include "explain.h"
#include "render.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct render_style style = {.legend = true, .now = 2112};

static void
expect(const struct explain_case *subject, const char *expected)
{
	struct command row = {.name = "explain", .help = "x", .blocks = explain_blocks};
	json_t *description = command_describe(&row), *reply = explain_reply(subject), *again;
	CLEANUP_FREE char *text = NULL, *wire = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_non_null(reply);
	/* What cannot be written as JSON cannot be sent. */
	wire = json_dumps(reply, JSON_COMPACT);
	assert_non_null(wire);
	again = json_loads(wire, 0, NULL);
	assert_true(json_equal(again, reply));
	render_reply(out, json_object_get(description, "blocks"), reply, &style);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, expected);
	json_decref(again);
	json_decref(reply);
	json_decref(description);
}

static struct verdict
leak(void)
{
	return (struct verdict){
		.outcome = VERDICT_CONFIRMED,
		.class = VERDICT_LEAK,
		.axis = SIGNALS_REQUESTS,
		.separable = true,
		.rate = 16.23,
		.rate_low = 15.8,
		.rate_high = 16.6,
		.per_request = 16.23,
		.grown = 1346560,
		.window_requests = 82969,
		.seconds_to_limit = 11400,
		.scale = 3,
		.site_count = 2,
		.sites = {{.site = 41, .bytes = 1327104, .objects = 82944},
			  {.site = 0x7f00beef, .foreign = true, .bytes = 2048, .objects = 4}},
		.site_rates = {16, 0.025},
		.test_count = 3,
		.tests = {{"mann-kendall s", "", 66, 50, ">=", true, true, 3},
			  {"growth", "bytes", 1346560, 32768, ">=", true},
			  {"last half against first", "", 0.981, 0.6, ">=", true}},
	};
}

static void
test_a_confirmed_leak(void **state)
{
	static const struct explain_place places[] = {{"parse_header", "auth.c:41"}, {"", ""}};
	static const struct verdict_probes probes = {.done = 2,
						     .rejected = 1,
						     .confirmed = true,
						     .residual_first = 262144,
						     .residual_second = 262400,
						     .interval_requests = 32768,
						     .objects_grown = 32768,
						     .rate = 16.008};
	struct verdict verdict = leak();
	struct explain_case subject = {
		.plugin = "auth",
		.instance = 3,
		.judged = 2100,
		.verdict = &verdict,
		.sentence = "leaks 16.2 bytes per request at parse_header (auth.c:41), confirmed by probe",
		.phase = "idle",
		.probes = &probes,
		.places = places,
		.history = json_pack("[{s:i, s:s, s:s, s:i}]", "at", 2000, "event", "probe-ended", "text",
				     "262144 bytes stayed, then 262400", "instance", 3),
	};

	(void) state;
	expect(&subject, "leaks 16.2 bytes per request at parse_header (auth.c:41), confirmed by probe\n"
			 "\n"
			 "verdict               confirmed\n"
			 "class                 leak\n"
			 "rate                  16.2 bytes per request (15.8 to 16.6)\n"
			 "grown                 1.3MiB in 82969 requests\n"
			 "until the hard limit  3h10min\n"
			 "instance              3\n"
			 "\n"
			 "where what stays was allocated, the likeliest first\n"
			 "B/REQUEST   BYTES  BLOCKS  HEAP     FUNCTION      FILE:LINE\n"
			 "       16  1.3MiB   82944  plugin   parse_header  auth.c:41\n"
			 "    0.025  2.0KiB       4  foreign  -             0x7f00beef\n"
			 "\n"
			 "tests\n"
			 "TEST                        VALUE  WANTED          PASSED\n"
			 "mann-kendall s (scale 3)       66  >= 50           yes\n"
			 "growth                    1346560  >= 32768 bytes  yes\n"
			 "last half against first     0.981  >= 0.6          yes\n"
			 "\n"
			 "probes (evict, serve, evict, compare)\n"
			 "now                            idle\n"
			 "ended                          2\n"
			 "  it was a cache               1\n"
			 "confirmed                      yes\n"
			 "left after the first interval  256.0KiB\n"
			 "  after the second             256.2KiB\n"
			 "  requests in both             32768\n"
			 "  blocks more                  32768\n"
			 "  bytes a request              16\n"
			 "\n"
			 "probes so far\n"
			 "AT                   INSTANCE  EVENT        WHAT\n"
			 "1970-01-01 00:33:20         3  probe-ended  262144 bytes stayed, then 262400\n");
}

static void
test_a_suspect_without_probe(void **state)
{
	struct verdict verdict = leak();
	struct explain_case subject = {
		.plugin = "auth",
		.instance = 3,
		.verdict = &verdict,
		.sentence = "may leak 0.5 bytes per second",
		.phase = "none: it has no evict hook",
	};

	(void) state;
	verdict.outcome = VERDICT_SUSPECT;
	verdict.axis = SIGNALS_SECONDS;
	verdict.separable = false;
	verdict.rate = 2345.678;
	verdict.rate_low = 1;
	verdict.rate_high = 0.5;
	verdict.seconds_to_limit = -1;
	verdict.site_count = 0;
	verdict.test_count = 1;
	verdict.tests[0].passed = false;
	expect(&subject, "may leak 0.5 bytes per second\n"
			 "\n"
			 "verdict   suspect\n"
			 "class     leak\n"
			 "rate      2346 bytes per second (1 to 0.5); the traffic does not tell this axis from others\n"
			 "grown     1.3MiB in 82969 requests\n"
			 "instance  3\n"
			 "\n"
			 "tests\n"
			 "TEST                      VALUE  WANTED  PASSED\n"
			 "mann-kendall s (scale 3)     66  >= 50   no\n"
			 "\n"
			 "probes (evict, serve, evict, compare)\n"
			 "now  none: it has no evict hook\n");
}

static void
test_nothing_wrong(void **state)
{
	struct verdict verdict = {.outcome = VERDICT_OK, .seconds_to_limit = -1};
	struct explain_case subject = {
		.plugin = "auth", .instance = 3, .verdict = &verdict, .sentence = "no growth that lasts"};

	(void) state;
	expect(&subject, "no growth that lasts\n"
			 "\n"
			 "verdict   ok\n"
			 "class     none\n"
			 "instance  3\n");
}

/* JSON has none of them. */
static void
test_numbers_that_are_none_are_left_out(void **state)
{
	struct verdict verdict = leak();
	struct explain_case subject = {.plugin = "auth", .verdict = &verdict, .sentence = ""};
	json_t *reply;

	(void) state;
	verdict.rate_low = (double) -INFINITY;
	verdict.rate_high = (double) INFINITY;
	verdict.tests[0].value = (double) NAN;
	verdict.site_rates[0] = (double) NAN;
	verdict.seconds_to_limit = (double) INFINITY;
	reply = explain_reply(&subject);
	assert_non_null(reply);
	assert_null(json_object_get(json_object_get(reply, "growth"), "rate_high"));
	assert_null(json_object_get(json_object_get(reply, "growth"), "seconds_to_limit"));
	assert_null(json_object_get(json_array_get(json_object_get(reply, "tests"), 0), "value"));
	assert_int_equal(json_array_size(json_object_get(reply, "sites")), 2);
	json_decref(reply);
}

static void
test_what_counts_as_a_leak(void **state)
{
	struct verdict verdict = leak();

	(void) state;
	assert_true(explain_is_leak(&verdict, true));
	verdict.outcome = VERDICT_LIKELY;
	assert_false(explain_is_leak(&verdict, true));
	assert_true(explain_is_leak(&verdict, false));
	verdict.outcome = VERDICT_SUSPECT;
	assert_false(explain_is_leak(&verdict, false));
	verdict.outcome = VERDICT_CONFIRMED;
	verdict.class = VERDICT_GROWING_BUFFER;
	assert_true(explain_is_leak(&verdict, true));
	verdict.class = VERDICT_CACHE_GROWTH;
	assert_false(explain_is_leak(&verdict, true));
	verdict.class = VERDICT_CLIENT_STATE;
	assert_false(explain_is_leak(&verdict, false));
	verdict.class = VERDICT_FRAGMENTATION;
	assert_false(explain_is_leak(&verdict, false));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_confirmed_leak),      cmocka_unit_test(test_a_suspect_without_probe),
		cmocka_unit_test(test_nothing_wrong),         cmocka_unit_test(test_numbers_that_are_none_are_left_out),
		cmocka_unit_test(test_what_counts_as_a_leak),
	};

	(void) setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
