/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifndef RECORDS
#define RECORDS "tests/unit/records"
#endif

static uint64_t seed = 88172645463325252;

static uint64_t
any_number(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	/* Of all lengths, the longest as well. */
	return seed % 17 == 0 ? UINT64_MAX : seed >> (seed % 61);
}

static double
any_fraction(void)
{
	return (double) any_number() / 3 * (any_number() % 2 ? 1 : -1) + 1e-300;
}

static void
any_exposure(struct signals_exposure *exposure)
{
	for (unsigned a = 0; a < SIGNALS_AXES; a++)
		exposure->count[a] = any_number();
}

static void
any_sites(struct verdict_site *sites, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		sites[i] = (struct verdict_site){.site = (uintptr_t) any_number(),
						 .foreign = any_number() % 2,
						 .bytes = any_number(),
						 .objects = any_number()};
		for (unsigned k = 0; k < VERDICT_COHORTS; k++)
			sites[i].age_bytes[k] = any_number() % 3 ? any_number() : 0;
	}
}

static void
any_history(struct signals_history *history)
{
	memset(history, 0, sizeof(*history));
	history->began = any_number();
	any_exposure(&history->before);
	any_exposure(&history->last.exposure);
	history->last.live_bytes = any_number();
	history->last.largest_bytes = any_number();
	history->last.open_connections = (uint32_t) any_number();
	for (unsigned scale = 0; scale < SIGNALS_SCALES; scale++) {
		history->kept[scale] = (unsigned) (any_number() % (SIGNALS_BLOCKS + 1));
		history->blocks[scale] = history->kept[scale] ? (any_number() >> 1) + SIGNALS_BLOCKS : 0;
		for (unsigned i = 0; i < history->kept[scale]; i++) {
			struct signals_block *block = &history->block[scale][i];
			any_exposure(&block->exposure);
			block->floor = any_number();
			block->foreign = block->floor / 2;
			block->objects = any_number();
			block->largest = any_number();
			block->resident = any_number();
		}
	}
	for (unsigned scale = 0; scale < SIGNALS_MOMENT_SCALES; scale++) {
		struct signals_moments *moments = &history->moments[scale];
		moments->count = any_number() % 2 ? any_number() : 0;
		if (moments->count == 0)
			continue;
		for (unsigned a = 0; a < SIGNALS_AXES; a++)
			for (unsigned b = a; b < SIGNALS_AXES; b++)
				moments->xx[a][b] = any_fraction();
		moments->yy = any_fraction();
	}
}

static const char *
name_of(const struct verdict_site *site, void *ctx)
{
	const struct verdict_site *first = ctx;

	return site == first ? "parse = head (auth.c:41)" : NULL;
}

static void
what_is_written_is_read_exactly(void **state)
{
	static struct signals_history history;
	static struct verdict_site newest[RECORD_SITES], earlier[3];
	(void) state;

	for (unsigned round = 0; round < 200; round++) {
		size_t count = round % 5 == 0 ? RECORD_SITES : any_number() % 9;
		any_history(&history);
		any_sites(newest, count);
		any_sites(earlier, ARRAY_LENGTH(earlier));
		struct verdict_input input = {
			.history = &history,
			.has_evict = round % 2,
			.hard_limit = any_number(),
			.settings = {any_fraction(), any_number(), any_number(), any_number()},
			.probes = {.done = (unsigned) any_number(),
				   .rejected = 3,
				   .running = round % 3 == 0,
				   .confirmed = round % 7 == 0,
				   .class = round % (VERDICT_GROWING_BUFFER + 1),
				   .residual_first = any_number(),
				   .objects_grown = -(int64_t) (any_number() >> 1),
				   .survived = any_number(),
				   .walk_age = any_number(),
				   .rate = any_fraction(),
				   .rejected_rate = any_fraction()},
		};
		any_exposure(&input.probes.first);
		if (round % 4) {
			input.sites = newest;
			input.site_count = count;
			input.epoch = (uint32_t) any_number();
		}
		if (round % 4 == 2) {
			input.earlier = earlier;
			input.earlier_count = ARRAY_LENGTH(earlier);
			input.earlier_epoch = (uint32_t) any_number();
		}
		char *text, *again;
		size_t length, again_length;
		struct record *record = NULL;
		struct error e = {0};
		assert_int_equal(record_write(&input, name_of, newest, &text, &length), 0);
		if (record_read(text, length, &record, &e) < 0)
			fail_msg("%s", e.text);
		const struct verdict_input *back = record_input(record);
		assert_memory_equal(back->history, &history, sizeof(history));
		assert_memory_equal(&back->probes, &input.probes, sizeof(input.probes));
		assert_memory_equal(&back->settings, &input.settings, sizeof(input.settings));
		assert_int_equal(back->hard_limit, input.hard_limit);
		assert_int_equal(back->has_evict, input.has_evict);
		assert_int_equal(back->sites != NULL, input.sites != NULL);
		assert_int_equal(back->earlier != NULL, input.earlier != NULL);
		assert_int_equal(back->site_count, input.site_count);
		if (back->site_count > 0) {
			assert_memory_equal(back->sites, newest, count * sizeof(*newest));
			assert_int_equal(back->epoch, input.epoch);
			assert_string_equal(record_site_name(record, newest[0].site, newest[0].foreign),
					    "parse = head (auth.c:41)");
		}
		if (back->earlier)
			assert_memory_equal(back->earlier, earlier, sizeof(earlier));
		assert_int_equal(record_write(back, NULL, NULL, &again, &again_length), 0);
		record_free(&record);
		free(text);
		free(again);
	}
}

static char *
small_record(size_t *ret_length)
{
	static struct signals_history history;
	static struct verdict_site site = {
		.site = 0xabc, .bytes = 100, .objects = 2, .age_bytes = {[3] = 60, [5] = 40}};
	struct verdict_input input = {.history = &history,
				      .settings = verdict_default_settings(),
				      .sites = &site,
				      .site_count = 1,
				      .epoch = 77};
	char *text;

	history.kept[0] = 1;
	history.blocks[0] = 5;
	history.block[0][0].floor = 10;
	history.moments[2].count = 4;
	assert_int_equal(record_write(&input, NULL, NULL, &text, ret_length), 0);
	return text;
}

/* The record with the first `what` replaced. */
static void
assert_refused(const char *what, const char *by, const char *reason)
{
	size_t length;
	CLEANUP_FREE char *text = small_record(&length);
	char *at = strstr(text, what), changed[8192];
	struct record *record = (struct record *) -1;
	struct error e = {0};

	assert_non_null(at);
	snprintf(changed, sizeof(changed), "%.*s%s%s", (int) (at - text), text, by, at + strlen(what));
	assert_int_equal(record_read(changed, strlen(changed), &record, &e), -EINVAL);
	assert_ptr_equal(record, (struct record *) -1);
	if (!strstr(e.text, reason))
		fail_msg("'%s' by '%s': %s", what, by, e.text);
	assert_ptr_equal(strstr(e.text, "line "), e.text);
}

static void
mistakes_are_refused_with_line_and_reason(void **state)
{
	(void) state;
	assert_refused("mtlsd-record 1", "mtlsd-record 2", "line 1: '2' where '1' belongs");
	assert_refused("settings", "Settings", "line 2: 'Settings' where 'settings' belongs");
	assert_refused("32768", "32768x", "line 2: '32768x' is no number");
	assert_refused("32768", "18446744073709551616", "is no number up to 18446744073709551615");
	assert_refused("32768", "-1", "is no number");
	assert_refused("0x1p-1", "0.5", "no hexadecimal fraction");
	assert_refused("0x1p-1", "nan", "no hexadecimal fraction");
	assert_refused("0x1p-1", "0x1p+9999", "no hexadecimal fraction");
	assert_refused("no-evict", "maybe", "line 3: 'maybe' is neither 'evict' nor 'no-evict'");
	assert_refused("idle open 0", "idle open 9", "no number up to 5");
	assert_refused("no-evict", "no-evict ", "line 3: a blank at the end");
	assert_refused("no-evict", "no-evict 5", "line 3: more words than belong there");
	assert_refused("plugin 0", "plugin  0", "a word is missing");
	assert_refused("scale 0 5 1", "scale 20 5 1", "no number up to 19");
	assert_refused("scale 0 5 1", "scale 0 5 13", "no number up to 12");
	assert_refused("scale 0 5 1", "scale 0 5 0", "a scale keeps blocks");
	assert_refused("scale 0 5 1", "scale 0 0 1", "a scale keeps blocks");
	assert_refused("scale 0 5 1", "scale 0 5 2", "where 'block' belongs");
	assert_refused("block 0 0 0 0 0 0 10 0", "block 0 0 0 0 0 0 10 11", "foreign part is larger");
	assert_refused("moments 2 4", "moments 2 0", "moments of nothing");
	assert_refused("walk newest", "walk latest", "neither 'newest' nor 'earlier'");
	assert_refused("walk newest 77 1", "walk newest 77 257", "no number up to 256");
	assert_refused("walk newest 77 1", "walk newest 77 2", "where 'site' belongs");
	assert_refused("0xabc", "abc", "no address");
	assert_refused("0xabc", "0xabg", "is no number");
	assert_refused(" 3:60", " 32:60", "no number up to 31");
	assert_refused(" 3:60", " 3:60 3:1", "stands there twice");
	assert_refused(" 3:60", " 3:0", "is empty");
	assert_refused(" 3:60", " 3", "no column of ages");
	assert_refused(" 3:60", " 3:600000000000000000000000000000000000000000000000", "not a word of a record");
	assert_refused("no-evict", "no\tevict", "not a word of a record");
	assert_refused(" 5:40", " 5:40 = ", "a blank at the end");
	assert_refused("end\n", "", "the file ends before its end");
	assert_refused("end\n", "end", "the file ends before its end");
	assert_refused("end\n", "end\n\n", "something after the end");
	assert_refused("end\n", "end now\n", "something after the end");
	assert_refused("end\n", "walk newest 1 0\nend\n", "stands there twice");
}

static void
every_cut_is_refused(void **state)
{
	size_t length;
	CLEANUP_FREE char *text = small_record(&length);
	(void) state;

	for (size_t cut = 0; cut < length; cut++) {
		struct record *record = NULL;
		assert_int_equal(record_read(text, cut, &record, NULL), -EINVAL);
		assert_null(record);
	}
}

/* Records of plugins' lives as test-inspector made them up, and what was said of them then. */
static const struct {
	const char *file;
	enum verdict_outcome outcome;
	enum verdict_class class;
	double per_request, within;
	uintptr_t site; /* 0: none */
} records[] = {
	{"sixteen-bytes", VERDICT_CONFIRMED, VERDICT_LEAK, 16, 0.5, 0x1000},
	{"sixteen-bytes-no-hook", VERDICT_LIKELY, VERDICT_LEAK, 16, 0.5, 0x1000},
	{"one-byte", VERDICT_CONFIRMED, VERDICT_LEAK, 1, 0.25, 0x1000},
	{"under-sawtooth-no-hook", VERDICT_LIKELY, VERDICT_LEAK, 16, 4, 0x1000},
	{"library", VERDICT_CONFIRMED, VERDICT_LEAK, 32, 1, 0x1000},
	{"filling-cache", VERDICT_SUSPECT, VERDICT_CACHE_GROWTH, 512, 10, 0x1001},
	{"full-cache", VERDICT_OK, VERDICT_NONE, 0, 0, 0},
};

static void
kept_records_are_judged_as_then(void **state)
{
	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(records); i++) {
		static char text[1 << 20];
		char path[500];
		struct record *record;
		struct verdict verdict;
		struct error e = {0};
		const char *source = getenv("srcdir");
		snprintf(path, sizeof(path), "%s/" RECORDS "/%s.record", source ? source : ".", records[i].file);
		FILE *file = fopen(path, "r");
		if (file == NULL)
			fail_msg("%s: %s", path, strerror(errno));
		size_t length = fread(text, 1, sizeof(text), file);
		fclose(file);
		if (record_read(text, length, &record, &e) < 0)
			fail_msg("%s: %s", path, e.text);
		verdict_judge(record_input(record), &verdict);
		if (verdict.outcome != records[i].outcome || verdict.class != records[i].class)
			fail_msg("%s: %s, %s", path, verdict_outcome_name(verdict.outcome),
				 verdict_class_name(verdict.class));
		if (records[i].per_request > 0)
			assert_float_equal(verdict.per_request, records[i].per_request, records[i].within);
		if (records[i].site)
			assert_int_equal(verdict.sites[0].site, records[i].site);
		record_free(&record);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_exactly),
		cmocka_unit_test(mistakes_are_refused_with_line_and_reason),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(kept_records_are_judged_as_then),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
