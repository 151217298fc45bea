/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A dump as JSON: what `mtlsctl dump --json` prints and what the archive keeps. */
#include "callers.h"
#include "format.h"
#include "pace.h"
#include "place.h"
#include "wire.h"

#include <stdio.h>

json_t *
format_place(const char *file, int line, const char *module, uint64_t offset)
{
	char place[PLACE_TEXT];

	return wire_text(place_write(file, line, module, offset, place));
}

static json_t *
json_site(const struct supervisor_site *site)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o*, s:o*, s:I, s:o, s:I, s:o*, s:o}", "scope", site->scope,
			 "bytes", (json_int_t) site->bytes, "objects", (json_int_t) site->objects, "oldest",
			 (json_int_t) site->oldest, "youngest", (json_int_t) site->youngest, "function",
			 site->function[0] ? wire_text(site->function) : NULL, "file",
			 site->file[0] ? wire_text(site->file) : NULL, "line", (json_int_t) site->line, "module",
			 wire_text(site->module), "offset", (json_int_t) site->offset, "build_id",
			 site->build_id[0] ? wire_text(site->build_id) : NULL, "place",
			 format_place(site->file, site->line, site->module, site->offset));
}

/* As heap.h: [0] is age 0, [k] is [2^(k-1), 2^k). */
static json_t *
json_ages(const struct supervisor_dump *dump)
{
	json_t *ages = json_array();

	for (size_t k = 0; k < sizeof(dump->age_bytes) / sizeof(dump->age_bytes[0]); k++) {
		uint64_t from = k ? UINT64_C(1) << (k - 1) : 0, to = k ? (UINT64_C(1) << k) - 1 : 0;
		char age[48];

		if (dump->age_bytes[k] == 0)
			continue;
		format_age((unsigned) k, age, sizeof(age));
		json_array_append_new(ages, json_pack("{s:s, s:I, s:I, s:I}", "age", age, "from", (json_int_t) from,
						      "to", (json_int_t) to, "bytes", (json_int_t) dump->age_bytes[k]));
	}
	return ages;
}

/* The sites beyond the first `shown`, in one line; NULL if there are none. */
static json_t *
json_others(const struct supervisor_dump *dump, size_t shown)
{
	uint64_t bytes = 0, objects = 0;

	if (shown >= dump->count)
		return NULL;
	for (size_t i = shown; i < dump->count; i++) {
		bytes += dump->sites[i].bytes;
		objects += dump->sites[i].objects;
	}
	return json_pack("{s:I, s:I, s:I}", "sites", (json_int_t) (dump->count - shown), "bytes", (json_int_t) bytes,
			 "objects", (json_int_t) objects);
}

/* Who called the shown sites; NULL if that is no question. */
static json_t *
json_callers(const struct supervisor_dump *dump, size_t shown, bool all)
{
	CLEANUP_FREE struct callers_row *rows = NULL;
	json_t *array = json_array();
	size_t count = 0;

	if (callers_find(dump, shown, all, &rows, &count) < 0)
		count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct supervisor_site *site = &dump->sites[rows[i].site];
		const struct supervisor_place *caller = &dump->places[rows[i].caller];
		const char *name = site->function[0] ? site->function : "?";
		CLEANUP_FREE char *way = NULL;

		pace();
		if (asprintf(&way, "%s <- %s", name, !rows[i].known ? "?" : caller->function) < 0)
			way = NULL;
		json_array_append_new(
			array,
			json_pack("{s:I, s:I, s:o, s:o, s:o*, s:o*, s:i, s:o}", "bytes", (json_int_t) rows[i].bytes,
				  "percent", (json_int_t) ((200 * rows[i].bytes / site->bytes + 1) / 2), "way",
				  wire_text(way ? way : name), "site",
				  format_place(site->file, site->line, site->module, site->offset), "function",
				  rows[i].known && caller->function[0] ? wire_text(caller->function) : NULL, "file",
				  rows[i].known && caller->file[0] ? wire_text(caller->file) : NULL, "line",
				  rows[i].known ? caller->line : 0, "place",
				  rows[i].known
					  ? format_place(caller->file, caller->line, caller->module, caller->offset)
					  : json_string("?")));
	}
	if (count == 0 && !all) {
		json_decref(array);
		return NULL;
	}
	return array;
}

json_t *
format_json(const struct supervisor_dump *dump, json_t *words, uint64_t top, bool callers)
{
	const struct supervisor_plugin *p = &dump->plugin;
	size_t shown = top && top < dump->count ? (size_t) top : dump->count;
	json_t *sites = json_array();

	for (size_t i = 0; i < shown; i++) {
		pace();
		json_array_append_new(sites, json_site(&dump->sites[i]));
	}
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o*, s:o*, s:o}",
			 "plugin", wire_text(p->name), "instance", (json_int_t) p->instance, "epoch",
			 (json_int_t) dump->epoch, "live_bytes", (json_int_t) p->own.live_bytes, "live_objects",
			 (json_int_t) p->own.live_objects, "arena_bytes", (json_int_t) p->own.arena_bytes, "peak_bytes",
			 (json_int_t) p->own.peak_bytes, "resident_bytes", (json_int_t) p->own.resident_bytes,
			 "retained_bytes", (json_int_t) p->own.retained_bytes, "foreign_bytes",
			 (json_int_t) p->foreign.live_bytes, "escaped_bytes", (json_int_t) p->escaped_bytes,
			 "soft_limit", (json_int_t) p->soft_limit, "hard_limit", (json_int_t) p->hard_limit, "sites",
			 sites, "ages", json_ages(dump), "others", json_others(dump, shown), "callers",
			 json_callers(dump, shown, callers), "words", words ? words : json_object());
}
