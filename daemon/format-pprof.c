/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A dump as a pprof profile. */
#include "cleanup.h"
#include "format.h"
#include "pace.h"
#include "portion.h"
#include "pprof.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { INUSE_SPACE, INUSE_OBJECTS, ALLOC_SPACE, ALLOC_OBJECTS, ESCAPED_SPACE, VALUES };

static const struct pprof_type value_types[VALUES] = {
	[INUSE_SPACE] = {"inuse_space", "bytes"},     [INUSE_OBJECTS] = {"inuse_objects", "count"},
	[ALLOC_SPACE] = {"alloc_space", "bytes"},     [ALLOC_OBJECTS] = {"alloc_objects", "count"},
	[ESCAPED_SPACE] = {"escaped_space", "bytes"},
};

enum { LABEL_PLUGIN, LABEL_INSTANCE, LABEL_SCOPE, LABEL_AGE, LABEL_ROUTE, LABEL_STATUS, LABELS };

struct writer {
	const struct supervisor_dump *dump;
	struct pprof *pprof;
	char instance[24];
	struct pprof_label labels[LABELS];
	const char *(*route)(void *ctx, unsigned number);
	void *ctx;
};

char *
format_age(unsigned column, char *buffer, size_t size)
{
	uint64_t from = column != 0 ? UINT64_C(1) << (column - 1) : 0,
		 to = column != 0 ? (UINT64_C(1) << column) - 1 : 0;

	if (from == to)
		(void) snprintf(buffer, size, "%" PRIu64, from);
	else
		(void) snprintf(buffer, size, "%" PRIu64 "-%" PRIu64, from, to);
	return buffer;
}

static uint64_t
writer_location(struct writer *writer, const struct supervisor_place *place)
{
	/* A return address lies behind the call, whose line was looked up. */
	return pprof_location(writer->pprof,
			      &(struct pprof_frame){
				      .address = place->address != 0 ? place->address - 1 : 0,
				      .offset = place->offset,
				      .module = place->address != 0 ? place->module : NULL,
				      .build_id = place->build_id,
				      .function = place->address != 0 ? place->function : "[site unknown]",
				      .file = place->file,
				      .line = place->line,
			      });
}

static void
writer_put_place(struct writer *writer, uint32_t place, const uint64_t *values)
{
	uint64_t location = writer_location(writer, &writer->dump->places[place]);

	pprof_sample(writer->pprof, &location, 1, values, writer->labels, LABELS);
}

static void
writer_put_stack(struct writer *writer, const struct supervisor_stack *stack, const uint64_t *values)
{
	uint64_t locations[HEAP_STACK_FRAMES];

	pace();
	for (unsigned i = 0; i < stack->depth; i++)
		locations[i] = writer_location(writer, &writer->dump->places[stack->frames[i]]);
	pprof_sample(writer->pprof, locations, stack->depth, values, writer->labels, LABELS);
}

/* Divides a pair of values over the stacks of a site, by their live samples; without any, the place alone has it. */
static void
writer_divide(struct writer *writer, const struct supervisor_stack *stacks, size_t count, uint32_t place,
	      unsigned space, uint64_t bytes, unsigned objects_at, uint64_t objects)
{
	struct portion space_part = {.total = bytes}, object_part = {.total = objects};

	for (size_t i = 0; i < count; i++)
		space_part.weight += stacks[i].bytes;
	object_part.weight = space_part.weight;
	for (size_t i = 0; i < count; i++) {
		uint64_t values[VALUES] = {0};
		values[space] = portion_take(&space_part, stacks[i].bytes);
		uint64_t part = portion_take(&object_part, stacks[i].bytes);
		if (objects_at < VALUES)
			values[objects_at] = part;
		if (values[space] != 0 || part != 0)
			writer_put_stack(writer, &stacks[i], values);
	}
	if (space_part.weight != 0)
		return;
	uint64_t values[VALUES] = {0};
	values[space] = bytes;
	if (objects_at < VALUES)
		values[objects_at] = objects;
	writer_put_place(writer, place, values);
}

/* --- in use ------------------------------------------------------------------------------------------------------ */

static void
writer_put_sites(struct writer *writer)
{
	const struct supervisor_dump *dump = writer->dump;

	for (size_t i = 0; i < dump->count; i++) {
		const struct supervisor_site *site = &dump->sites[i];
		writer->labels[LABEL_SCOPE].value = site->scope;
		for (unsigned column = 0; column < ARRAY_LENGTH(site->age_bytes); column++) {
			char age[48];
			if (site->age_bytes[column] == 0)
				continue;
			writer->labels[LABEL_AGE].value = format_age(column, age, sizeof(age));
			writer_divide(writer, dump->stacks + site->first_stack, site->stack_count, site->place,
				      INUSE_SPACE, site->age_bytes[column], INUSE_OBJECTS, site->age_objects[column]);
		}
	}
	writer->labels[LABEL_AGE].value = writer->labels[LABEL_SCOPE].value = NULL;
}

/* --- escaped ----------------------------------------------------------------------------------------------------- */

static void
writer_put_escapes(struct writer *writer)
{
	static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
	const struct supervisor_dump *dump = writer->dump;

	for (size_t i = 0; i < dump->escape_count; i++) {
		const struct supervisor_escape *escape = &dump->escapes[i];
		pace();
		uintptr_t site = dump->places[escape->place].address;
		size_t first = 0, count = 0;
		for (size_t k = 0; site != 0 && k < dump->stack_count; k++)
			if (!dump->stacks[k].foreign && dump->stacks[k].site == site && count++ == 0)
				first = k;
		if (site != 0) { /* what found no room in the books is of no one route */
			writer->labels[LABEL_ROUTE].value = writer->route(writer->ctx, escape->route);
			writer->labels[LABEL_STATUS].value =
				escape->status_class < ARRAY_LENGTH(classes) ? classes[escape->status_class] : NULL;
		}
		writer_divide(writer, dump->stacks + first, count, escape->place, ESCAPED_SPACE, escape->bytes, VALUES,
			      0);
		writer->labels[LABEL_ROUTE].value = writer->labels[LABEL_STATUS].value = NULL;
	}
}

/* --- allocated --------------------------------------------------------------------------------------------------- */

static uint64_t
beyond(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* What is in use was allocated, exactly. The rest of what the heap ever handed out and took back is divided over the
 * stacks as far as samples tell; what they do not tell of stays one frame. */
static void
writer_put_allocated(struct writer *writer, bool foreign, uint64_t bytes, uint64_t objects)
{
	const struct supervisor_dump *dump = writer->dump;
	struct portion bytes_part = {0}, objects_part = {0};
	uint64_t values[VALUES] = {0};

	writer->labels[LABEL_SCOPE].value = foreign ? "foreign" : "plugin";
	for (size_t i = 0; i < dump->count; i++) {
		const struct supervisor_site *site = &dump->sites[i];
		if ((strcmp(site->scope, "foreign") == 0) != foreign)
			continue;
		bytes = beyond(bytes, site->bytes);
		objects = beyond(objects, site->objects);
		writer->labels[LABEL_SCOPE].value = site->scope;
		writer_divide(writer, dump->stacks + site->first_stack, site->stack_count, site->place, ALLOC_SPACE,
			      site->bytes, ALLOC_OBJECTS, site->objects);
	}
	writer->labels[LABEL_SCOPE].value = foreign ? "foreign" : "plugin";
	for (size_t i = 0; i < dump->stack_count; i++) {
		const struct supervisor_stack *stack = &dump->stacks[i];
		if (stack->foreign != foreign)
			continue;
		bytes_part.weight += beyond(stack->allocated_bytes, stack->bytes);
		objects_part.weight += beyond(stack->allocated_objects, stack->objects);
	}
	bytes_part.total = bytes < bytes_part.weight ? bytes : bytes_part.weight;
	objects_part.total = objects < objects_part.weight ? objects : objects_part.weight;
	for (size_t i = 0; i < dump->stack_count; i++) {
		const struct supervisor_stack *stack = &dump->stacks[i];
		if (stack->foreign != foreign)
			continue;
		values[ALLOC_SPACE] = portion_take(&bytes_part, beyond(stack->allocated_bytes, stack->bytes));
		values[ALLOC_OBJECTS] = portion_take(&objects_part, beyond(stack->allocated_objects, stack->objects));
		if (values[ALLOC_SPACE] != 0 || values[ALLOC_OBJECTS] != 0)
			writer_put_stack(writer, stack, values);
	}
	values[ALLOC_SPACE] = beyond(bytes, bytes_part.total);
	values[ALLOC_OBJECTS] = beyond(objects, objects_part.total);
	if (values[ALLOC_SPACE] != 0 || values[ALLOC_OBJECTS] != 0) {
		uint64_t location = pprof_location(
			writer->pprof, &(struct pprof_frame){.function = "[allocated and freed, not sampled]"});
		pprof_sample(writer->pprof, &location, 1, values, writer->labels, LABELS);
	}
	writer->labels[LABEL_SCOPE].value = NULL;
}

int
format_pprof(const struct supervisor_dump *dump, const char *(*route)(void *ctx, unsigned number), void *ctx,
	     void **ret, size_t *ret_length)
{
	CLEANUP(pprof_free) struct pprof *pprof = NULL;
	char comment[128];

	int r = pprof_new(value_types, VALUES, &pprof);
	if (r < 0)
		return r;
	struct writer writer = {
		.dump = dump,
		.pprof = pprof,
		.labels = {[LABEL_PLUGIN] = {"plugin", dump->plugin.name},
			   [LABEL_INSTANCE] = {"instance", NULL},
			   [LABEL_SCOPE] = {"scope", NULL},
			   [LABEL_AGE] = {"age", NULL},
			   [LABEL_ROUTE] = {"route", NULL},
			   [LABEL_STATUS] = {"status", NULL}},
		.route = route,
		.ctx = ctx,
	};
	(void) snprintf(writer.instance, sizeof(writer.instance), "%" PRIu64, dump->plugin.instance);
	writer.labels[LABEL_INSTANCE].value = writer.instance;
	writer_put_sites(&writer);
	writer_put_escapes(&writer);
	writer_put_allocated(&writer, false, dump->own_allocated, dump->own_allocated_objects);
	writer_put_allocated(&writer, true, dump->foreign_allocated, dump->foreign_allocated_objects);
	(void) snprintf(comment, sizeof(comment), "mtlsd: plugin %s, instance %s, request clock %" PRIu64,
			dump->plugin.name, writer.instance, dump->epoch);
	return pprof_finish(pprof, comment, dump->taken * 1000000000, ret, ret_length);
}
