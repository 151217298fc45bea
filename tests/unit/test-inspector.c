/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole lives of made-up plugins: what they keep, drop and hand back, and what the inspector says of it. */
#include "cleanup.h"
#include "heap.h"
#include "inspector.h"
#include "record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_REQUESTS = 1 << 21, SITES = 4, LEAK = 0, CACHE = 1, OTHER = 2, BUFFER = 3 };

/* Bytes alive by the request of their birth, for each site. */
struct model {
	uint32_t *alive[SITES];
	uint32_t oldest[SITES]; /* births before are dead */
	uint64_t bytes[SITES], objects[SITES];
	uint32_t requests;
	struct signals_exposure exposure;
	uint64_t now;
	uint32_t inflight, connections;
	uint64_t evictions;
	bool foreign; /* the leak lies there */
	bool keeps;   /* its evict hook gives nothing back */
	uint64_t largest;
	unsigned seed;
	void (*serve)(struct model *);
	/* parameters of serve */
	uint32_t leak_bytes, leak_every, leak_from;
	uint32_t cache_bytes, cache_most, tooth;
	uint32_t rps;
	const char *record; /* name of its record, NULL: none */
};

struct story {
	uint64_t suspect, likely, confirmed; /* requests, 0: never */
	unsigned walks, evictions;
	struct verdict verdict;
};

static unsigned
model_random(struct model *model)
{
	model->seed = model->seed * 1103515245 + 12345;
	return model->seed >> 8;
}

static void
model_birth(struct model *model, unsigned site, uint32_t bytes)
{
	if (model->alive[site][model->requests] == 0)
		model->objects[site]++;
	model->alive[site][model->requests] += bytes;
	model->bytes[site] += bytes;
}

/* The oldest dies. */
static void
model_death(struct model *model, unsigned site)
{
	while (model->oldest[site] < model->requests && model->alive[site][model->oldest[site]] == 0)
		model->oldest[site]++;
	uint32_t *oldest = &model->alive[site][model->oldest[site]];
	if (*oldest == 0)
		return;
	model->bytes[site] -= *oldest;
	model->objects[site]--;
	*oldest = 0;
}

static void
model_drop(struct model *model, unsigned site)
{
	while (model->objects[site] > 0)
		model_death(model, site);
}

static void
model_sample(const struct model *model, struct signals_sample *ret)
{
	*ret = (struct signals_sample){.exposure = model->exposure,
				       .inflight = model->inflight,
				       .open_connections = model->connections,
				       .largest_bytes = model->largest};
	ret->exposure.count[SIGNALS_REQUESTS] = model->requests;
	for (unsigned site = 0; site < SITES; site++) {
		bool foreign = model->foreign && site == LEAK;
		*(foreign ? &ret->foreign_bytes : &ret->live_bytes) += model->bytes[site];
		ret->live_objects += foreign ? 0 : model->objects[site];
	}
	/* Those being served hold some as well. */
	ret->live_bytes += 100000 + 700 * (uint64_t) model->inflight;
	ret->live_objects += 50 + model->inflight;
	ret->resident_bytes = ret->live_bytes + 65536;
}

static void
model_profile(const struct model *model, bool foreign, struct heap_profile *ret, struct heap_site_usage *sites)
{
	*ret = (struct heap_profile){.epoch = model->requests, .sites = sites};
	for (unsigned site = 0; site < SITES; site++) {
		if (foreign != (model->foreign && site == LEAK))
			continue;
		struct heap_site_usage *usage = &sites[ret->count++];
		*usage = (struct heap_site_usage){
			.site = 0x1000 + site, .bytes = model->bytes[site], .objects = model->objects[site]};
		for (uint32_t birth = 0; birth <= model->requests; birth++) {
			uint32_t age = model->requests - birth;
			usage->age_bytes[age == 0 ? 0 : 32 - __builtin_clz(age)] += model->alive[site][birth];
		}
	}
}

static int
model_setup(void **state)
{
	struct model *model = calloc(1, sizeof(*model));

	for (unsigned site = 0; site < SITES; site++)
		model->alive[site] = calloc(MOST_REQUESTS + 1, sizeof(uint32_t));
	model->seed = 7;
	model->rps = 500;
	model->leak_every = 1;
	*state = model;
	return 0;
}

static int
model_teardown(void **state)
{
	struct model *model = *state;

	for (unsigned site = 0; site < SITES; site++)
		free(model->alive[site]);
	free(model);
	return 0;
}

static struct inspector_settings
usual_settings(bool has_evict)
{
	return (struct inspector_settings){
		.verdict = verdict_default_settings(), .probe = probe_default_settings(), .has_evict = has_evict};
}

static void
model_evict(struct model *model, struct inspector *inspector)
{
	model->evictions++;
	if (!model->keeps) {
		model_drop(model, CACHE);
		model_drop(model, OTHER);
	}
	inspector_evicted(inspector, model->now, 0, 0);
}

static void
model_step(struct model *model, struct inspector *inspector, struct story *story)
{
	struct heap_site_usage own_sites[SITES], foreign_sites[SITES];
	struct heap_profile own, foreign;
	enum inspector_wish wish;

	while ((wish = inspector_step(inspector, model->now, 0.1)) != INSPECTOR_NOTHING) {
		if (wish == INSPECTOR_EVICT) {
			story->evictions++;
			model_evict(model, inspector);
			continue;
		}
		story->walks++;
		model_profile(model, false, &own, own_sites);
		model_profile(model, true, &foreign, foreign_sites);
		assert_int_equal(inspector_profile(inspector, &own, &foreign), 0);
	}
	enum verdict_outcome outcome = inspector_verdict(inspector)->outcome;
	if (outcome >= VERDICT_SUSPECT && story->suspect == 0)
		story->suspect = model->requests;
	if (outcome >= VERDICT_LIKELY && story->likely == 0)
		story->likely = model->requests;
	if (outcome == VERDICT_CONFIRMED && story->confirmed == 0)
		story->confirmed = model->requests;
}

/* With RECORDS=folder in the environment: what test-record replays. */
static void
model_record(const struct model *model, struct inspector *inspector)
{
	const char *folder = getenv("RECORDS");
	char path[500], *text;
	size_t length;

	assert_int_equal(inspector_record(inspector, NULL, NULL, &text, &length), 0);
	if (folder && model->record) {
		snprintf(path, sizeof(path), "%s/%s.record", folder, model->record);
		FILE *file = fopen(path, "w");
		assert_non_null(file);
		assert_int_equal(fwrite(text, 1, length, file), length);
		assert_int_equal(fclose(file), 0);
	}
	/* Judged again it is the same verdict. */
	struct record *record;
	struct verdict again;
	assert_int_equal(record_read(text, length, &record, NULL), 0);
	verdict_judge(record_input(record), &again);
	if (!record_input(record)->probes.running)
		assert_memory_equal(&again, inspector_verdict(inspector), sizeof(again));
	record_free(&record);
	free(text);
}

/* So many requests, with a sample at every 48th and a step each second. */
static void
model_live(struct model *model, bool has_evict, uint32_t requests, struct story *ret)
{
	struct inspector_settings settings = usual_settings(has_evict);
	struct inspector *inspector;
	struct signals_sample sample;
	uint64_t stepped = 0;

	*ret = (struct story){0};
	assert_true(requests <= MOST_REQUESTS);
	assert_int_equal(inspector_new(0, &settings, &inspector), 0);
	while (model->requests < requests && ret->confirmed == 0) {
		model->requests++;
		model->now += 1000000 / model->rps;
		model->inflight = model_random(model) % 16;
		model->serve(model);
		bool second = model->now - stepped >= 1000000;
		if (model->requests % SIGNALS_SAMPLE_EVERY == 0 || second) {
			model_sample(model, &sample);
			inspector_sample(inspector, model->now, &sample);
		}
		if (second) {
			stepped = model->now;
			model_step(model, inspector, ret);
		}
	}
	ret->verdict = *inspector_verdict(inspector);
	model_record(model, inspector);
	inspector_free(&inspector);
	if (getenv("VERBOSE")) {
		char sentence[300];
		verdict_sentence(&ret->verdict, sentence, sizeof(sentence));
		printf("  suspect %lu likely %lu confirmed %lu walks %u evictions %u: %s %s: %s\n", ret->suspect,
		       ret->likely, ret->confirmed, ret->walks, ret->evictions,
		       verdict_outcome_name(ret->verdict.outcome), verdict_class_name(ret->verdict.class), sentence);
	}
}

static void
serve_leak(struct model *model)
{
	if (model->requests >= model->leak_from && model_random(model) % model->leak_every == 0)
		model_birth(model, LEAK, model->leak_bytes);
}

static void
serve_cache(struct model *model)
{
	serve_leak(model);
	model_birth(model, CACHE, model->cache_bytes);
	while (model->cache_most && model->objects[CACHE] > model->cache_most)
		model_death(model, CACHE);
	if (model->tooth && model->objects[CACHE] >= model->tooth)
		model_drop(model, CACHE);
}

static void
sixteen_bytes_a_request_are_confirmed_soon(void **state)
{
	struct model *model = *state;
	struct story story;

	model->record = "sixteen-bytes";
	model->serve = serve_leak;
	model->leak_bytes = 16;
	model_live(model, true, 200000, &story);
	/* Warm after a minute: 30,000 requests. */
	assert_in_range(story.suspect, 30000, 35000);
	assert_in_range(story.confirmed, 30000, 90000);
	assert_int_equal(story.verdict.class, VERDICT_LEAK);
	assert_float_equal(story.verdict.per_request, 16, 0.5);
	assert_true(story.verdict.rate_low <= 16 && story.verdict.rate_high >= 16);
	assert_int_equal(story.verdict.sites[0].site, 0x1000 + LEAK);
	assert_float_equal(story.verdict.site_rates[0], 16, 0.5);
	assert_true(story.walks < 10);
}

static void
without_a_hook_it_stays_likely(void **state)
{
	struct model *model = *state;
	struct story story;

	model->record = "sixteen-bytes-no-hook";
	model->serve = serve_leak;
	model->leak_bytes = 16;
	model_live(model, false, 200000, &story);
	assert_in_range(story.likely, 70000, 140000); /* the last word takes longer */
	assert_int_equal(story.confirmed, 0);
	assert_int_equal(story.verdict.outcome, VERDICT_LIKELY);
	assert_float_equal(story.verdict.per_request, 16, 0.5);
	assert_int_equal(story.verdict.sites[0].site, 0x1000 + LEAK);
}

static void
one_byte_a_request_on_average_is_confirmed(void **state)
{
	struct model *model = *state;
	struct story story;

	model->record = "one-byte";
	model->serve = serve_leak;
	model->leak_bytes = 112;
	model->leak_every = 112;
	model_live(model, true, 2000000, &story);
	assert_in_range(story.confirmed, 1, 1000000);
	assert_float_equal(story.verdict.per_request, 1, 0.25);
	assert_int_equal(story.verdict.sites[0].site, 0x1000 + LEAK);
}

static void
a_late_onset_is_found_as_soon(void **state)
{
	struct model *model = *state;
	struct story story;

	model->serve = serve_leak;
	model->leak_bytes = 16;
	model->leak_from = 600000;
	model_live(model, true, 800000, &story);
	assert_in_range(story.suspect, 600000, 605000);
	assert_in_range(story.confirmed, 600000, 660000);
	assert_float_equal(story.verdict.per_request, 16, 0.5);
}

static void
a_leak_under_a_sawtooth_is_found(void **state)
{
	struct model *model = *state;
	struct story story;

	model->serve = serve_cache;
	model->leak_bytes = 16;
	model->cache_bytes = 208;
	model->tooth = 50000;
	model_live(model, true, 250000, &story);
	assert_in_range(story.confirmed, 1, 250000);
	assert_float_equal(story.verdict.per_request, 16, 4);
	assert_int_equal(story.verdict.sites[0].site, 0x1000 + LEAK);
}

static void
a_leak_under_a_sawtooth_is_likely_without_a_hook(void **state)
{
	struct model *model = *state;
	struct story story;

	model->record = "under-sawtooth-no-hook";
	model->serve = serve_cache;
	model->leak_bytes = 16;
	model->cache_bytes = 208;
	model->tooth = 10000;
	model_live(model, false, 300000, &story);
	assert_int_equal(story.verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(story.verdict.sites[0].site, 0x1000 + LEAK);
	assert_float_equal(story.verdict.per_request, 16, 4);
}

static void
a_leak_through_a_library_is_told_so(void **state)
{
	struct model *model = *state;
	struct story story;

	model->record = "library";
	model->serve = serve_leak;
	model->leak_bytes = 32;
	model->foreign = true;
	model_live(model, true, 200000, &story);
	assert_in_range(story.confirmed, 30000, 90000);
	assert_true(story.verdict.foreign);
	assert_true(story.verdict.sites[0].foreign);
}

static void
a_filling_cache_is_cleared_by_probe(void **state)
{
	struct model *model = *state;
	struct story story;

	model->record = "filling-cache";
	model->serve = serve_cache;
	model->leak_every = UINT32_MAX;
	model->leak_from = UINT32_MAX;
	model->cache_bytes = 512;
	model_live(model, true, 1000000, &story);
	assert_int_equal(story.confirmed, 0);
	assert_true(story.likely > 0);
	assert_true(story.evictions > 0 && story.evictions < 20);
	assert_int_equal(story.verdict.class, VERDICT_CACHE_GROWTH);
	assert_true(story.verdict.outcome <= VERDICT_SUSPECT);
}

static void
a_full_cache_and_a_sawtooth_are_never_confirmed(void **state)
{
	struct model *model = *state;
	struct story story;

	model->record = "full-cache";
	model->serve = serve_cache;
	model->leak_every = UINT32_MAX;
	model->leak_from = UINT32_MAX;
	model->cache_bytes = 512;
	model->cache_most = 10000;
	model_live(model, true, 500000, &story);
	assert_int_equal(story.likely, 0);
	assert_int_equal(story.verdict.outcome, VERDICT_OK);
	model->record = NULL;
	model->cache_most = 0;
	model->tooth = 70000;
	model_live(model, true, 1500000, &story);
	assert_int_equal(story.confirmed, 0);
}

/* A leak that is LIKELY; returns what the inspector wishes then. */
static enum inspector_wish
live_until_wish(struct model *model, struct inspector *inspector, enum inspector_wish wanted, double load)
{
	struct heap_site_usage sites[SITES];
	struct heap_profile profile;
	struct signals_sample sample;
	enum inspector_wish wish = INSPECTOR_NOTHING;

	for (uint32_t n = 0; n < 100000 && model->requests < MOST_REQUESTS; n++) {
		model->requests++;
		model->now += 2000;
		model_birth(model, LEAK, 16);
		if (model->requests % SIGNALS_SAMPLE_EVERY != 0)
			continue;
		model_sample(model, &sample);
		inspector_sample(inspector, model->now, &sample);
		wish = inspector_step(inspector, model->now, load);
		if (wish == wanted)
			return wish;
		if (wish == INSPECTOR_PROFILE) {
			model_profile(model, false, &profile, sites);
			assert_int_equal(inspector_profile(inspector, &profile, NULL), 0);
		}
	}
	return INSPECTOR_NOTHING;
}

static void
a_wish_stands_until_it_is_granted(void **state)
{
	struct model *model = *state;
	struct inspector_settings settings = usual_settings(true);
	struct inspector *inspector;

	assert_int_equal(inspector_new(0, &settings, &inspector), 0);
	assert_int_equal(inspector_verdict(inspector)->outcome, VERDICT_WARMING);
	assert_int_equal(live_until_wish(model, inspector, INSPECTOR_PROFILE, 0.1), INSPECTOR_PROFILE);
	assert_int_equal(inspector_step(inspector, model->now, 0.1), INSPECTOR_PROFILE);
	assert_int_equal(live_until_wish(model, inspector, INSPECTOR_EVICT, 0.1), INSPECTOR_EVICT);
	assert_int_equal(inspector_step(inspector, model->now, 0.1), INSPECTOR_EVICT);
	assert_int_equal(inspector_verdict(inspector)->outcome, VERDICT_LIKELY);
	inspector_free(&inspector);
	assert_null(inspector);
	inspector_free(&inspector);
}

static void
a_failed_eviction_ends_the_probe_and_what_it_tore(void **state)
{
	struct model *model = *state;
	struct inspector_settings settings = usual_settings(true);
	struct inspector *inspector;
	struct verdict_probes probes;

	assert_int_equal(inspector_new(0, &settings, &inspector), 0);
	assert_int_equal(live_until_wish(model, inspector, INSPECTOR_EVICT, 0.1), INSPECTOR_EVICT);
	inspector_evicted(inspector, model->now, -1, 0);
	probe_results(inspector_probe(inspector), &probes);
	assert_false(probes.running);
	assert_int_equal(probes.rejected, 0);
	assert_int_equal(signals_blocks(inspector_signals(inspector)), 0);
	/* It is tried again, within the hour's budget. */
	assert_int_equal(live_until_wish(model, inspector, INSPECTOR_EVICT, 0.1), INSPECTOR_EVICT);
	inspector_free(&inspector);
}

static void
under_load_there_is_no_probe(void **state)
{
	struct model *model = *state;
	struct inspector_settings settings = usual_settings(true);
	struct inspector *inspector;

	assert_int_equal(inspector_new(0, &settings, &inspector), 0);
	assert_int_equal(live_until_wish(model, inspector, INSPECTOR_EVICT, 0.9), INSPECTOR_NOTHING);
	assert_int_equal(inspector_verdict(inspector)->outcome, VERDICT_LIKELY);
	assert_int_equal(live_until_wish(model, inspector, INSPECTOR_EVICT, 0.5), INSPECTOR_EVICT);
	inspector_free(&inspector);
}

static void
a_restart_begins_anew(void **state)
{
	struct model *model = *state;
	struct inspector_settings settings = usual_settings(true);
	struct inspector *inspector;
	struct verdict_probes probes;

	assert_int_equal(inspector_new(0, &settings, &inspector), 0);
	assert_int_equal(live_until_wish(model, inspector, INSPECTOR_EVICT, 0.1), INSPECTOR_EVICT);
	inspector_restart(inspector, model->now);
	assert_int_equal(inspector_verdict(inspector)->outcome, VERDICT_WARMING);
	assert_string_equal(probe_phase(inspector_probe(inspector)), "idle");
	probe_results(inspector_probe(inspector), &probes);
	assert_false(probes.running);
	assert_int_equal(inspector_step(inspector, model->now, 0.1), INSPECTOR_NOTHING);
	inspector_free(&inspector);
}

static void
settings_apply_at_once(void **state)
{
	struct model *model = *state;
	struct inspector_settings settings = usual_settings(false);
	struct inspector *inspector;

	assert_int_equal(inspector_new(0, &settings, &inspector), 0);
	(void) live_until_wish(model, inspector, INSPECTOR_EVICT, 0.1);
	assert_int_equal(inspector_verdict(inspector)->outcome, VERDICT_LIKELY);
	assert_float_equal(inspector_verdict(inspector)->seconds_to_limit, -1, 0);
	settings.hard_limit = 64 << 20;
	inspector_set(inspector, &settings);
	(void) inspector_step(inspector, model->now, 0.1);
	assert_true(inspector_verdict(inspector)->seconds_to_limit > 0);
	settings.verdict.min_rate = 20;
	inspector_set(inspector, &settings);
	(void) inspector_step(inspector, model->now, 0.1);
	assert_int_equal(inspector_verdict(inspector)->outcome, VERDICT_OK);
	inspector_free(&inspector);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sixteen_bytes_a_request_are_confirmed_soon, model_setup,
						model_teardown),
		cmocka_unit_test_setup_teardown(without_a_hook_it_stays_likely, model_setup, model_teardown),
		cmocka_unit_test_setup_teardown(one_byte_a_request_on_average_is_confirmed, model_setup,
						model_teardown),
		cmocka_unit_test_setup_teardown(a_late_onset_is_found_as_soon, model_setup, model_teardown),
		cmocka_unit_test_setup_teardown(a_leak_under_a_sawtooth_is_found, model_setup, model_teardown),
		cmocka_unit_test_setup_teardown(a_leak_under_a_sawtooth_is_likely_without_a_hook, model_setup,
						model_teardown),
		cmocka_unit_test_setup_teardown(a_leak_through_a_library_is_told_so, model_setup, model_teardown),
		cmocka_unit_test_setup_teardown(a_filling_cache_is_cleared_by_probe, model_setup, model_teardown),
		cmocka_unit_test_setup_teardown(a_full_cache_and_a_sawtooth_are_never_confirmed, model_setup,
						model_teardown),
		cmocka_unit_test_setup_teardown(a_wish_stands_until_it_is_granted, model_setup, model_teardown),
		cmocka_unit_test_setup_teardown(a_failed_eviction_ends_the_probe_and_what_it_tore, model_setup,
						model_teardown),
		cmocka_unit_test_setup_teardown(under_load_there_is_no_probe, model_setup, model_teardown),
		cmocka_unit_test_setup_teardown(a_restart_begins_anew, model_setup, model_teardown),
		cmocka_unit_test_setup_teardown(settings_apply_at_once, model_setup, model_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
