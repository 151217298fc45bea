/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "patient.h"

#include <string.h>

struct doctor_plugin
patient_healthy(void)
{
	struct doctor_plugin p = {
		.plugin = {.name = "auth",
			   .state = SUPERVISOR_READY,
			   .instance = 3,
			   .has_evict = true,
			   .requests = 1000,
			   .own = {.live_bytes = 10 * MIB, .resident_bytes = 12 * MIB},
			   .foreign = {.live_bytes = MIB},
			   .soft_limit = 48 * MIB,
			   .hard_limit = 64 * MIB},
		.watch = true,
		.watched = true,
		.view = {.instance = 3,
			 .verdict = {.outcome = VERDICT_OK, .seconds_to_limit = -1},
			 .sentence = "nothing grows",
			 .breaker = "closed"},
		.can_probe = true,
		.probe_allowed = true,
	};

	return p;
}

struct doctor_daemon
patient_sound(void)
{
	return (struct doctor_daemon){.now = 1000000,
				      .heap_layer = true,
				      .http_library = "1.0.10",
				      .machine_bytes = UINT64_C(1) << 30,
				      .hard_limits = 128 * MIB};
}

struct doctor_finding
patient_expect(const struct doctor_plugin *p, const char *check)
{
	struct doctor_finding findings[DOCTOR_FINDINGS], result = {0};
	size_t count = doctor_check_plugin(p, findings), seen = 0;

	for (size_t i = 0; i < count; i++) {
		if (strcmp(findings[i].check, check) == 0) {
			result = findings[i];
			seen++;
		}
	}
	if (seen != 1)
		fail_msg("%s was found %zu times among %zu findings", check, seen, count);
	assert_string_equal(result.plugin, "auth");
	assert_true(strlen(result.sentence) > 0);
	return result;
}

void
patient_expect_nothing(const struct doctor_plugin *p, const char *check)
{
	struct doctor_finding findings[DOCTOR_FINDINGS];
	size_t count = doctor_check_plugin(p, findings);

	for (size_t i = 0; i < count; i++)
		if (!check || strcmp(findings[i].check, check) == 0)
			fail_msg("%s: %s", findings[i].check, findings[i].sentence);
}

struct doctor_finding
patient_expect_daemon(const struct doctor_daemon *d, const char *check)
{
	struct doctor_finding findings[DOCTOR_FINDINGS];
	size_t count = doctor_check_daemon(d, findings);

	assert_int_equal(count, 1);
	assert_string_equal(findings[0].check, check);
	assert_string_equal(findings[0].plugin, "");
	return findings[0];
}

void
patient_expect_sound(const struct doctor_daemon *d)
{
	struct doctor_finding findings[DOCTOR_FINDINGS];

	if (doctor_check_daemon(d, findings) != 0)
		fail_msg("%s: %s", findings[0].check, findings[0].sentence);
}

void
patient_expect_words(const struct doctor_finding *finding, enum doctor_severity severity, const char *sentence,
		     const char *next)
{
	assert_int_equal(finding->severity, severity);
	assert_string_equal(finding->sentence, sentence);
	assert_string_equal(finding->next, next);
}
