/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* patient.h - a plugin and a daemon that are well, for tests to make ill, and what the doctor is to find.
 *
 * Threads: one. Owns: nothing; all are plain values.
 */
#include "cleanup.h"
#include "doctor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { MIB = 1 << 20, DAY = 86400 };

/* Ready, with a hook, watched, well. */
struct doctor_plugin patient_healthy(void);
struct doctor_daemon patient_sound(void);
/* The one finding of that check. */
struct doctor_finding patient_expect(const struct doctor_plugin *p, const char *check);
/* check NULL: none at all. */
void patient_expect_nothing(const struct doctor_plugin *p, const char *check);
struct doctor_finding patient_expect_daemon(const struct doctor_daemon *d, const char *check);
void patient_expect_sound(const struct doctor_daemon *d);
void patient_expect_words(const struct doctor_finding *finding, enum doctor_severity severity, const char *sentence,
			  const char *next);
