/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "replay.h"

#include "cleanup.h"
#include "record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *
site_name(const struct verdict_site *site, void *ctx)
{
	return stage_function(ctx, site->site);
}

static bool
is_same(const struct verdict *a, const struct verdict *b)
{
	if (a->outcome != b->outcome || a->class != b->class || a->axis != b->axis || a->separable != b->separable ||
	    a->site_count != b->site_count || a->test_count != b->test_count)
		return false;
	/* To the last bit: the same numbers went the same way. */
	if (memcmp(&a->rate, &b->rate, sizeof(a->rate)) != 0 ||
	    memcmp(&a->per_request, &b->per_request, sizeof(a->per_request)) != 0)
		return false;
	return a->site_count == 0 || a->sites[0].site == b->sites[0].site;
}

bool
replay_agrees(struct inspector *inspector, struct stage *stage)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP(record_free) struct record *record = NULL;
	struct error error = {0};
	struct verdict again;
	size_t length;

	if (inspector_record(inspector, site_name, stage, &text, &length) < 0 ||
	    record_read(text, length, &record, &error) < 0) {
		(void) fprintf(stderr, "the record cannot be read back: %s\n", error.text);
		return false;
	}
	verdict_judge(record_input(record), &again);
	const struct verdict *verdict = inspector_verdict(inspector);
	if (is_same(verdict, &again))
		return true;
	(void) fprintf(stderr, "judged again it is %s %s at %g, not %s %s at %g\n", verdict_outcome_name(again.outcome),
		       verdict_class_name(again.class), again.rate, verdict_outcome_name(verdict->outcome),
		       verdict_class_name(verdict->class), verdict->rate);
	return false;
}

void
replay_save(struct inspector *inspector, struct stage *stage, const char *path)
{
	CLEANUP_FREE char *text = NULL;
	size_t length;

	if (inspector_record(inspector, site_name, stage, &text, &length) < 0)
		return;
	FILE *file = fopen(path, "we");
	if (file == NULL || fwrite(text, 1, length, file) != length)
		(void) fprintf(stderr, "%s: %s\n", path, strerror(errno));
	if (file != NULL)
		(void) fclose(file);
}
