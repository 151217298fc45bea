/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "course.h"

#include "heap.h"
#include "timeline.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

enum {
	SECOND = 1000000,
	DECAY = 10, /* seconds until free pages go back, as the daemon's default */
};

int
course_begin(struct course *course, const struct label *label, const char *plugins, enum traffic_shape shape,
	     uint64_t seed)
{
	struct timespec now;
	char file[PATH_MAX], settings[64];

	course->label = label;
	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	/* A whole second, so that runs differ in nothing but the seed. */
	course->began = (uint64_t) now.tv_sec * SECOND;
	timeline_begin(course->began);
	(void) snprintf(file, sizeof(file), "%s/%s/%s.so", plugins, label_part_name(label->part), label->name);
	(void) snprintf(settings, sizeof(settings), "seed: %llu", (unsigned long long) seed);
	course->stage = stage_open(file, settings);
	if (course->stage == NULL)
		return -ENOENT;
	int r = crowd_new(course->stage, &course->traffic, &course->crowd);
	if (r < 0)
		return r;
	traffic_begin(&course->traffic, shape, &label->mix, seed);
	course->next_second = course->began + SECOND;
	return 0;
}

static void
second(struct course *course)
{
	stage_turn(course->stage);
	crowd_receive(course->crowd, timeline_now());
	(void) heap_decay((uint32_t) (timeline_now() / SECOND), DECAY);
	course->second(course->ctx);
}

void
course_pass(struct course *course, uint64_t until)
{
	for (;;) {
		uint64_t due = crowd_due(course->crowd), next = due < course->next_second ? due : course->next_second;
		if (next > until)
			break;
		if (next > timeline_now())
			timeline_advance(next);
		if (next == due)
			crowd_receive(course->crowd, next);
		if (next == course->next_second) {
			second(course);
			course->next_second += SECOND;
		}
	}
	timeline_advance(until);
}

int
course_request(struct course *course, bool *ret_reloaded)
{
	struct traffic_next next;

	traffic_next(&course->traffic, &next);
	course_pass(course, course->began + next.at);
	crowd_send(course->crowd, &next, course->began);
	course->served++;
	bool due = course->served == course->label->reload_at;
	if (due && stage_reload(course->stage, course->label->reload) < 0)
		return -EIO;
	*ret_reloaded = due;
	return 0;
}

bool
course_past_onset(const struct course *course)
{
	return timeline_now() - course->began >= course->label->onset && course->served >= course->label->reload_at;
}
