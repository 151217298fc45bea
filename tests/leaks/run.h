/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* run.h - one plugin under one traffic: real requests through its instance and heap, judged as the daemon would, the
 * clock in our hands.
 *
 * Once a second of the timeline the instance is sampled and its inspector stepped, which is granted what it wishes; on
 * the way of requests the daemon's own code samples. A run with an eviction hook ends when the verdict is CONFIRMED;
 * one without is judged until LIKELY, then goes on undisturbed for the baselines.
 *
 * When a run reaches its goal, the record of the verdict is written and judged again, and must come out the same.
 *
 * Threads: one a process, once (stage.h). Owns: nothing.
 */
#include "baseline.h"
#include "label.h"

#define RUN_NEVER UINT64_MAX

struct run_order {
	const struct label *label;
	const char *plugins; /* folder of the built plugins */
	const char *records; /* folder for the record of each run's end (record.h); NULL: none is kept */
	enum traffic_shape shape;
	uint64_t seed;
	bool hook; /* the daemon knows of the plugin's eviction hook */
};

/* Requests count from the end of the warm-up or the onset, whichever is later. */
struct run_result {
	bool failed;
	bool early; /* CONFIRMED before there was anything to confirm */
	uint64_t requests;
	uint64_t began;                          /* the request they count from */
	uint64_t reached[VERDICT_CONFIRMED + 1]; /* when each outcome came first, or RUN_NEVER */
	uint64_t alarm[BASELINE_KINDS];          /* the same of the baselines */
	/* The verdict that counts: CONFIRMED, without a hook the last that was LIKELY; if there was none, the last. */
	enum verdict_outcome outcome;
	enum verdict_class class;
	enum signals_axis axis;
	bool separable;
	double rate, per_request;
	char site[64], function[64]; /* likeliest; function: the second's, "" none */
	/* What was true then: bytes for each unit of the verdict's axis, and bytes a request; 0: not known. */
	double true_rate, true_per_request;
	double true_unit; /* bytes for each unit of the label's first axis, for checking the label */
	unsigned probes, rejected;
	double took; /* seconds of the machine */
	char sentence[256];
};

/* trace: a line a second goes to stderr. */
void run_do(const struct run_order *order, bool trace, struct run_result *ret);
