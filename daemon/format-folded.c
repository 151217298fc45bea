/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Folded stacks: what flame graph tools read. */
#include "cleanup.h"
#include "format.h"
#include "pace.h"
#include "portion.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A frame's text cannot hold what separates frames, lines and numbers. */
static void
folded_text(FILE *out, const char *text)
{
	for (; *text != '\0'; text++)
		(void) fputc(*text == ';' ? ':' : (unsigned char) *text < ' ' ? '?' : *text, out);
}

static void
folded_frame(FILE *out, const struct supervisor_place *place)
{
	(void) fputc(';', out);
	if (place->function[0] != '\0') {
		folded_text(out, place->function);
		return;
	}
	folded_text(out, place->module[0] != '\0' ? place->module : "?");
	(void) fprintf(out, "+0x%" PRIx64, place->offset);
}

static void
folded_head(FILE *out, const struct supervisor_dump *dump, const struct supervisor_site *site)
{
	folded_text(out, dump->plugin.name);
	if (strcmp(site->scope, "plugin") != 0)
		(void) fprintf(out, ";[%s]", site->scope);
}

static void
folded_site(FILE *out, const struct supervisor_dump *dump, const struct supervisor_site *site)
{
	const struct supervisor_stack *stacks = dump->stacks + site->first_stack;
	struct portion bytes = {.total = site->bytes};

	for (size_t i = 0; i < site->stack_count; i++)
		bytes.weight += stacks[i].bytes;
	for (size_t i = 0; i < site->stack_count; i++) {
		uint64_t part = portion_take(&bytes, stacks[i].bytes);
		pace();
		if (part == 0)
			continue;
		folded_head(out, dump, site);
		for (unsigned frame = stacks[i].depth; frame > 0; frame--)
			folded_frame(out, &dump->places[stacks[i].frames[frame - 1]]);
		(void) fprintf(out, " %" PRIu64 "\n", part);
	}
	if (bytes.weight == 0) {
		folded_head(out, dump, site);
		folded_frame(out, &dump->places[site->place]);
		(void) fprintf(out, " %" PRIu64 "\n", site->bytes);
	}
}

int
format_folded(const struct supervisor_dump *dump, char **ret, size_t *ret_length)
{
	CLEANUP_FREE char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (out == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < dump->count; i++)
		folded_site(out, dump, &dump->sites[i]);
	bool bad = ferror(out) != 0;
	if (fclose(out) != 0 || bad || !text)
		return -ENOMEM;
	*ret = STEAL(text);
	*ret_length = length;
	return 0;
}
