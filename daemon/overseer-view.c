/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the overseer tells: records as things happen, and its findings to those who ask. */
#include "overseer-internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void
ward_tell(struct overseer *overseer, struct ward *ward, enum event_kind kind, const char *fmt, ...)
{
	char text[NOTE_TEXT];
	struct note note = {.at = (uint64_t) time(NULL), .instance = ward->instance, .kind = kind};
	const struct verdict *verdict = &ward->verdict;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	event_record(kind, ward->name, ward->instance, verdict_outcome_name(verdict->outcome), text);
	note.text = strdup(text);
	if (note.text == NULL)
		return;
	pthread_mutex_lock(&overseer->lock);
	struct note *place = &ward->notes[ward->note_count++ % OVERSEER_NOTES];
	free(place->text);
	*place = note;
	pthread_mutex_unlock(&overseer->lock);
}

bool
ward_is_due(struct ward *ward, enum event_kind kind, uint64_t now, uint64_t rest)
{
	bool due = ward->told[kind] == 0 || now - ward->told[kind] >= rest;

	if (due)
		ward->told[kind] = now + (now == 0);
	return due;
}

/* With the lock held. */
static const struct ward *
find(const struct overseer *overseer, const char *name)
{
	for (size_t i = 0; i < overseer->count; i++) {
		if (strcmp(overseer->wards[i]->name, name) == 0)
			return overseer->wards[i];
	}
	return NULL;
}

int
overseer_view(struct overseer *overseer, const char *plugin, struct overseer_view *ret)
{
	pthread_mutex_lock(&overseer->lock);
	const struct ward *ward = find(overseer, plugin);
	if (ward != NULL)
		*ret = ward->view;
	pthread_mutex_unlock(&overseer->lock);
	return ward != NULL ? 0 : -ENOENT;
}

json_t *
overseer_history(struct overseer *overseer, const char *plugin)
{
	json_t *rows = json_array();

	pthread_mutex_lock(&overseer->lock);
	const struct ward *ward = find(overseer, plugin);
	unsigned count = ward != NULL ? ward->note_count : 0;
	for (unsigned i = count > OVERSEER_NOTES ? count - OVERSEER_NOTES : 0; i < count; i++) {
		const struct note *note = &ward->notes[i % OVERSEER_NOTES];
		json_array_append_new(rows, json_pack("{s:I, s:s, s:s, s:I}", "at", (json_int_t) note->at, "event",
						      event_row(note->kind)->word, "text", note->text, "instance",
						      (json_int_t) note->instance));
	}
	pthread_mutex_unlock(&overseer->lock);
	return rows;
}

/* Words for the sites of a record. */
struct naming {
	struct supervisor *supervisor;
	const char *plugin;
	char name[360];
};

static const char *
name_site(const struct verdict_site *site, void *ctx)
{
	struct naming *naming = ctx;
	struct supervisor_place place;

	if (supervisor_resolve(naming->supervisor, naming->plugin, site->site, &place, NULL) < 0)
		return NULL;
	if (place.file[0] != '\0')
		snprintf(naming->name, sizeof(naming->name), "%s (%s:%d)",
			 place.function[0] != '\0' ? place.function : "?", place.file, place.line);
	else
		snprintf(naming->name, sizeof(naming->name), "%s+0x%" PRIx64, place.module, place.offset);
	return naming->name;
}

int
overseer_record(struct overseer *overseer, const char *plugin, char **ret, size_t *ret_length)
{
	struct naming naming = {.supervisor = overseer->supervisor, .plugin = plugin};
	struct inspection *inspection = NULL;

	pthread_mutex_lock(&overseer->lock);
	const struct ward *ward = find(overseer, plugin);
	int r = ward == NULL ? -ENOENT : ward->inspection == NULL ? -ENODATA : 0;
	if (r == 0) {
		inspection = ward->inspection;
		atomic_fetch_add(&inspection->references, 1);
	}
	pthread_mutex_unlock(&overseer->lock);
	if (r < 0)
		return r;
	pthread_mutex_lock(&inspection->work);
	r = inspector_record(inspection->inspector, name_site, &naming, ret, ret_length);
	pthread_mutex_unlock(&inspection->work);
	inspection_unref(&inspection);
	return r;
}
