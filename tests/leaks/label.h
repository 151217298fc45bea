/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* label.h - what is true of a family of the corpus, from NAME.label and SPLIT; README.md describes the words.
 *
 * Threads: any. Owns: nothing; a label is a plain value.
 */
#include "traffic.h"
#include "verdict.h"

#include <stdbool.h>
#include <stddef.h>

/* The parts of SPLIT, as bits. */
enum label_part { LABEL_TUNE = 1, LABEL_VALIDATION = 2, LABEL_SEALED = 4, LABEL_BEYOND = 8, LABEL_ALL = 15 };
enum { LABEL_FAMILIES = 192 /* at most, in all parts */ };
const char *label_part_name(enum label_part part);

struct label {
	char name[32];
	enum label_part part;
	bool leaky;
	bool foreign;       /* it leaks into the foreign heap */
	char site[64];      /* function that allocates what leaks; "": not told */
	double bytes;       /* class bytes a unit of the axis, on average; 0: not told */
	unsigned axes;      /* bits of enum signals_axis that are right; 0: not told */
	unsigned classes;   /* bits of enum verdict_class that are right */
	uint64_t requests;  /* after the onset */
	uint64_t onset;     /* microseconds of health */
	uint64_t reload_at; /* requests after which it is reloaded with reload; 0: never */
	char reload[64];    /* YAML of one setting, "history: yes" */
	double least;       /* bytes a request the leak is at least, for the bars */
	double spread;      /* how far chance may take a run from `bytes`, as a share of it */
	double bound;       /* clean: class bytes it holds at most beside its requests; 0: not told */
	unsigned bar;       /* bytes a request of those bars about latency it stands for; 0: none */
	struct traffic_mix mix;
};

/* folder: where NAME.label lies. On failure a sentence is printed. */
int label_read(const char *folder, const char *name, struct label *ret);
/* All families that SPLIT names, in its order, each from its part's folder; at most room. Returns how many, or a
 * negative errno. */
int label_read_all(const char *folder, struct label *ret, size_t room);
