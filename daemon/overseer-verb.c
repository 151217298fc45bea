/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The overseer's words and verbs: a verdict as a sentence, an eviction, a dump. */
#include "archive.h"
#include "format.h"
#include "overseer-internal.h"
#include "place.h"
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* --- words ------------------------------------------------------------------------------------------------------- */

void
ward_name_site(const struct sight *sight)
{
	struct ward *ward = sight->ward;
	struct supervisor_place place;
	uintptr_t site = ward->verdict.site_count > 0 ? ward->verdict.sites[0].site : 0;

	if (site == ward->named_site || ward->verdict.outcome < VERDICT_SUSPECT)
		return;
	ward->named_site = site;
	ward->place[0] = '\0';
	if (site == 0 || supervisor_resolve(sight->overseer->supervisor, ward->name, site, &place, NULL) < 0)
		return;
	char where[PLACE_TEXT];
	place_write(place.file, place.line, place.module, place.offset, where);
	if (place.file[0] != '\0')
		snprintf(ward->place, sizeof(ward->place), " at %.100s (%.130s)",
			 place.function[0] != '\0' ? place.function : "?", where);
	else
		snprintf(ward->place, sizeof(ward->place), " at %.200s", where);
}

/* "leaks 16 bytes per request at parse (auth.c:41), 3h10min to its limit": the place belongs to what comes first. */
void
ward_sentence(const struct ward *ward, char *ret, size_t size)
{
	char words[300];

	verdict_sentence(&ward->verdict, words, sizeof(words));
	const char *rest = strstr(words, ", ");
	int first = (int) (rest != NULL ? (size_t) (rest - words) : strlen(words));
	snprintf(ret, size, "%.*s%s%s", first, words, ward->verdict.outcome >= VERDICT_SUSPECT ? ward->place : "",
		 words + first);
}

/* --- the verbs --------------------------------------------------------------------------------------------------- */

int64_t
ward_give_back(const struct sight *sight, uint64_t target, int level, const char *why, bool is_routine, bool quietly)
{
	struct overseer *overseer = sight->overseer;
	struct ward *ward = sight->ward;
	struct supervisor_eviction eviction;
	struct error error = {0};
	char claimed[32], measured[32];

	int r = supervisor_evict(overseer->supervisor, ward->name, target, level, &eviction, &error);
	if (r < 0) {
		if (!quietly)
			ward_tell(overseer, ward, EVENT_EVICTED, "not evicted %s: %s", why, error.text);
		return r;
	}
	uint64_t freed = eviction.live_before > eviction.live_after ? eviction.live_before - eviction.live_after : 0;
	bool vain = eviction.claimed == 0 && freed == 0;
	if (!quietly && eviction.hook && !(vain && is_routine))
		ward_tell(overseer, ward, EVENT_EVICTED, "evicted %s: it claims %s, %s less are live", why,
			  units_format_size(eviction.claimed, claimed, sizeof(claimed)),
			  units_format_size(freed, measured, sizeof(measured)));
	else if (!quietly && !eviction.hook)
		ward_tell(overseer, ward, EVENT_EVICTED, "has no evict hook: only free pages were given back");
	return (int64_t) freed;
}

static int
dump_text(const struct sight *sight, char **ret, struct error *error)
{
	CLEANUP(supervisor_dump_free) struct supervisor_dump *dump = NULL;
	json_t *counters = NULL, *words = NULL;

	int r = supervisor_dump(sight->overseer->supervisor, sight->ward->name, 0, &dump, error);
	if (r < 0)
		return r;
	(void) supervisor_words(sight->overseer->supervisor, sight->ward->name, &counters, &words, NULL);
	json_decref(counters);
	json_t *reply = format_json(dump, words, 0, false);
	char *text = reply != NULL ? json_dumps(reply, JSON_INDENT(2)) : NULL;
	json_decref(reply);
	if (text == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	*ret = text;
	return 0;
}

void
ward_dump(const struct sight *sight)
{
	const struct config *config = sight->config;
	struct archive_bounds bounds = {config->daemon.dump_count, config->daemon.dump_bytes};
	struct ward *ward = sight->ward;
	CLEANUP_FREE char *text = NULL;
	struct error why = {0};
	char name[256], size[32];

	if (config->daemon.dump_directory == NULL) {
		ward_tell(sight->overseer, ward, EVENT_DUMPED,
			  "not dumped: there is no folder for dumps (daemon.dump_directory)");
		return;
	}
	int r = dump_text(sight, &text, &why);
	if (r == 0)
		r = archive_write(config->daemon.dump_directory, &bounds, ward->name, ward->instance,
				  (uint64_t) time(NULL), text, strlen(text), name, sizeof(name), &why);
	if (r < 0)
		ward_tell(sight->overseer, ward, EVENT_DUMPED, "not dumped: %s",
			  why.code != 0 ? why.text : strerror(-r));
	else
		ward_tell(sight->overseer, ward, EVENT_DUMPED, "dumped to %s/%s (%s)", config->daemon.dump_directory,
			  name, units_format_size(strlen(text), size, sizeof(size)));
}
