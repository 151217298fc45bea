/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* course.h - the course of things: one family of the corpus on its stage, served what the traffic brings, while the
 * timeline moves and the daemon's chores of each second are done.
 *
 * Threads: one. Owns: stage and crowd, until the process ends: one a process (stage.h).
 */
#include "crowd.h"
#include "label.h"

struct course {
	const struct label *label;
	struct stage *stage;
	struct crowd *crowd;
	struct traffic traffic;
	uint64_t began; /* timeline */
	uint64_t next_second;
	uint64_t served; /* requests sent */
	/* Called once a second, when its chores are done. */
	void (*second)(void *ctx);
	void *ctx;
};

/* plugins: folder of the parts with the built plugins. second and ctx are the caller's to set. On failure a sentence is
 * printed. */
int course_begin(struct course *course, const struct label *label, const char *plugins, enum traffic_shape shape,
		 uint64_t seed);
/* Moves on to the next request, and sends it. A reload that is due follows. -EIO: it failed. */
int course_request(struct course *course, bool *ret_reloaded);
/* Everything that happens until then but requests. */
void course_pass(struct course *course, uint64_t until);
/* Whether the leak may have begun. */
bool course_past_onset(const struct course *course);
