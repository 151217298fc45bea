/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "explain.h"

#include "units.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* JSON has no infinity; what is none is left out. */
static void
explain_real(json_t *object, const char *key, double value)
{
	if (isfinite(value))
		json_object_set_new(object, key, json_real(value));
}

/* Whole numbers as such, others with three digits that say something. */
static void
explain_number(char *buffer, size_t size, double value)
{
	if (fabs(value) >= 1000 || value == floor(value))
		snprintf(buffer, size, "%.0f", value);
	else
		snprintf(buffer, size, "%.3g", value);
}

bool
explain_may_leak(const struct verdict *verdict)
{
	return verdict->class == VERDICT_LEAK || verdict->class == VERDICT_NONE ||
	       verdict->class == VERDICT_GROWING_BUFFER;
}

bool
explain_is_leak(const struct verdict *verdict, bool can_probe)
{
	return explain_may_leak(verdict) &&
	       (verdict->outcome == VERDICT_CONFIRMED || (verdict->outcome == VERDICT_LIKELY && !can_probe));
}

json_t *
explain_verdict(const struct verdict *verdict)
{
	json_t *object = json_pack("{s:s, s:s}", "verdict", verdict_outcome_name(verdict->outcome), "class",
				   verdict_class_name(verdict->class));

	if (object && verdict->outcome >= VERDICT_SUSPECT) {
		explain_real(object, "bytes_per_request", verdict->per_request);
		if (verdict->seconds_to_limit >= 0 && verdict->seconds_to_limit < 1e15)
			json_object_set_new(object, "seconds_to_limit",
					    json_integer((json_int_t) verdict->seconds_to_limit));
	}
	return object;
}

/* --- parts ----------------------------------------------------------------------------------------------- */

static json_t *
explain_growth(const struct verdict *verdict)
{
	char rate[32], low[32], high[32], grown[32], text[240];
	const char *axis = signals_axis_name(verdict->axis);
	json_t *object;

	explain_number(rate, sizeof(rate), verdict->rate);
	explain_number(low, sizeof(low), verdict->rate_low);
	explain_number(high, sizeof(high), verdict->rate_high);
	snprintf(text, sizeof(text), "%s bytes per %s (%s to %s)%s", rate, axis, low, high,
		 verdict->separable ? "" : "; the traffic does not tell this axis from others");
	object = json_pack("{s:s, s:b, s:s, s:I, s:I, s:i}", "axis", axis, "separable", verdict->separable, "rate_text",
			   text, "grown", (json_int_t) verdict->grown, "window_requests",
			   (json_int_t) verdict->window_requests, "scale", (int) verdict->scale);
	if (!object)
		return NULL;
	snprintf(text, sizeof(text), "%s in %" PRIu64 " requests",
		 units_format_size(verdict->grown, grown, sizeof(grown)), verdict->window_requests);
	json_object_set_new(object, "grown_text", json_string(text));
	explain_real(object, "rate", verdict->rate);
	explain_real(object, "rate_low", verdict->rate_low);
	explain_real(object, "rate_high", verdict->rate_high);
	explain_real(object, "per_request", verdict->per_request);
	if (verdict->seconds_to_limit >= 0 && verdict->seconds_to_limit < 1e12)
		json_object_set_new(object, "seconds_to_limit", json_integer((json_int_t) verdict->seconds_to_limit));
	return object;
}

static json_t *
explain_sites(const struct verdict *verdict, const struct explain_place *places)
{
	json_t *rows = json_array();

	for (unsigned i = 0; i < verdict->site_count && i < VERDICT_SITES; i++) {
		const struct verdict_suspect *site = &verdict->sites[i];
		bool known = places && places[i].place[0];
		char address[32];
		json_t *row;

		snprintf(address, sizeof(address), "0x%" PRIxPTR, site->site);
		row = json_pack("{s:s, s:I, s:I, s:o*, s:o}", "scope", site->foreign ? "foreign" : "plugin", "bytes",
				(json_int_t) site->bytes, "objects", (json_int_t) site->objects, "function",
				known && places[i].function[0] ? command_text(places[i].function) : NULL, "place",
				command_text(known ? places[i].place : address));
		if (row)
			explain_real(row, "per_request", verdict->site_rates[i]);
		json_array_append_new(rows, row);
	}
	return rows;
}

static json_t *
explain_tests(const struct verdict *verdict)
{
	json_t *rows = json_array();

	for (unsigned i = 0; i < verdict->test_count && i < VERDICT_TESTS; i++) {
		const struct verdict_test *test = &verdict->tests[i];
		char name[64], value[48], threshold[32], wanted[80];
		json_t *row;

		explain_number(value, sizeof(value), test->value);
		explain_number(threshold, sizeof(threshold), test->threshold);
		if (test->of_scale)
			snprintf(name, sizeof(name), "%s (scale %u)", test->name, test->scale);
		else
			snprintf(name, sizeof(name), "%s", test->name);
		snprintf(wanted, sizeof(wanted), "%s %s%s%s", test->relation, threshold, *test->unit ? " " : "",
			 test->unit);
		row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "name", name, "value_text", value, "relation",
				test->relation, "wanted", wanted, "unit", test->unit, "passed", test->passed);
		if (row) {
			explain_real(row, "value", test->value);
			explain_real(row, "threshold", test->threshold);
		}
		json_array_append_new(rows, row);
	}
	return rows;
}

static json_t *
explain_probe(const struct explain_case *subject)
{
	const struct verdict_probes *p = subject->probes;
	json_t *object = subject->phase ? json_pack("{s:s}", "phase", subject->phase) : json_object();

	if (!object || !p || (!subject->phase && p->done == 0))
		return object;
	json_object_set_new(object, "ended", json_integer((json_int_t) p->done));
	json_object_set_new(object, "rejected", json_integer((json_int_t) p->rejected));
	json_object_set_new(object, "confirmed", json_boolean(p->confirmed));
	if (p->done == 0)
		return object;
	json_object_set_new(object, "residual_first", json_integer((json_int_t) p->residual_first));
	json_object_set_new(object, "residual_second", json_integer((json_int_t) p->residual_second));
	json_object_set_new(object, "interval_requests", json_integer((json_int_t) p->interval_requests));
	json_object_set_new(object, "objects_grown", json_integer((json_int_t) p->objects_grown));
	explain_real(object, "rate", p->rate);
	return object;
}

json_t *
explain_reply(const struct explain_case *subject)
{
	const struct verdict *verdict = subject->verdict;
	json_t *reply =
		json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o*}", "verdict", verdict_outcome_name(verdict->outcome),
			  "class", verdict_class_name(verdict->class), "sentence", command_text(subject->sentence),
			  "sites", explain_sites(verdict, subject->places), "tests", explain_tests(verdict), "probe",
			  explain_probe(subject), "history", subject->history);

	if (reply && subject->plugin) {
		json_object_set_new(reply, "plugin", command_text(subject->plugin));
		json_object_set_new(reply, "instance", json_integer((json_int_t) subject->instance));
	}
	if (reply && verdict->outcome >= VERDICT_SUSPECT)
		json_object_set_new(reply, "growth", explain_growth(verdict));
	if (reply && subject->judged > 0)
		json_object_set_new(reply, "judged", json_integer((json_int_t) subject->judged));
	return reply;
}

/* --- as it is shown -------------------------------------------------------------------------------------- */

const char explain_interface[] =
	"plugin: ?string, instance: ?int, verdict: ?string, class: ?string, sentence: ?string, judged: ?int,"
	" leak: ?bool, growth: ?(axis: string, separable: bool, rate: ?float, rate_low: ?float, rate_high: ?float,"
	" rate_text: string, per_request: ?float, grown: int, grown_text: string, window_requests: int, scale: int,"
	" seconds_to_limit: ?int), sites: ?[](scope: string, bytes: int, objects: int, function: ?string,"
	" place: string, per_request: ?float), tests: ?[](name: string, value: ?float, value_text: string,"
	" relation: string, threshold: ?float, wanted: string, unit: string, passed: bool),"
	" probe: ?(phase: ?string, ended: ?int, rejected: ?int, confirmed: ?bool, residual_first: ?int,"
	" residual_second: ?int, interval_requests: ?int, objects_grown: ?int, rate: ?float),"
	" history: ?[](at: int, event: string, text: string, instance: int), written: ?(bytes: int)";

/* clang-format off */
static const struct command_column verdict_columns[] = {
	{"verdict", "verdict", "state"},
	{"class", "class", "text"},
	{"rate", "growth.rate_text", "text"},
	{"grown", "growth.grown_text", "text"},
	{"until the hard limit", "growth.seconds_to_limit", "seconds"},
	{"instance", "instance", "text"},
	{"recorded", "written.bytes", "size"},
	{0},
};
static const struct command_column site_columns[] = {
	{"B/REQUEST", "per_request", "real"},
	{"BYTES", "bytes", "size"},
	{"BLOCKS", "objects", "count"},
	{"HEAP", "scope", "text"},
	{"FUNCTION", "function", "name"},
	{"FILE:LINE", "place", "text"},
	{0},
};
static const struct command_column test_columns[] = {
	{"TEST", "name", "text"},
	{"VALUE", "value_text", "number"},
	{"WANTED", "wanted", "text"},
	{"PASSED", "passed", "bool"},
	{0},
};
static const struct command_column probe_columns[] = {
	{"now", "phase", "text"},
	{"ended", "ended", "count"},
	{"  it was a cache", "rejected", "count"},
	{"confirmed", "confirmed", "bool"},
	{"left after the first interval", "residual_first", "size"},
	{"  after the second", "residual_second", "size"},
	{"  requests in both", "interval_requests", "count"},
	{"  blocks more", "objects_grown", "count"},
	{"  bytes a request", "rate", "real"},
	{0},
};
const struct command_column command_history_columns[] = {
	{"AT", "at", "time"},
	{"INSTANCE", "instance", "count"},
	{"EVENT", "event", "text"},
	{"WHAT", "text", "text"},
	{0},
};
const struct command_block explain_blocks[] = {
	{.key = "sentence", .kind = COMMAND_LINES},
	{.key = "", .kind = COMMAND_FIELDS, .columns = verdict_columns},
	{.key = "sites", .kind = COMMAND_TABLE, .title = "where what stays was allocated, the likeliest first",
	 .columns = site_columns},
	{.key = "tests", .kind = COMMAND_TABLE, .title = "tests", .columns = test_columns},
	{.key = "probe", .kind = COMMAND_FIELDS, .title = "probes (evict, serve, evict, compare)",
	 .columns = probe_columns},
	{.key = "history", .kind = COMMAND_TABLE, .title = "probes so far", .columns = command_history_columns},
	{0},
};
/* clang-format on */
