/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From addresses to names: dumps, escapes and single places of the instance that serves. */
#include "capture.h"
#include "pace.h"
#include "places.h"
#include "supervisor-internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- dump -------------------------------------------------------------------------------------------------------- */

/* How many frames tell something about the plugin: those up to its outermost; the rest is the daemon's way to it. */
static unsigned
stack_depth(const struct heap_stack_usage *stack, const struct image_mapping *mapping)
{
	for (unsigned depth = stack->depth; depth > 0; depth--)
		if (stack->frames[depth - 1] > mapping->start && stack->frames[depth - 1] <= mapping->end)
			return depth;
	return stack->depth;
}

static int
gather_half(const struct capture_half *half, const struct image_mapping *mapping, struct places *places)
{
	int r = 0;

	for (size_t i = 0; r == 0 && half->profile != NULL && i < half->profile->count; i++)
		r = places_add(places, half->profile->sites[i].site);
	for (size_t i = 0; r == 0 && i < half->stack_count; i++) {
		unsigned depth = stack_depth(&half->stacks[i], mapping);
		for (unsigned frame = 0; r == 0 && frame < depth; frame++)
			r = places_add(places, half->stacks[i].frames[frame]);
	}
	return r;
}

static void
put_half(const struct capture_half *half, bool foreign, const struct image_mapping *mapping,
	 const struct places *places, struct supervisor_dump *dump)
{
	for (size_t i = 0; half->profile != NULL && i < half->profile->count; i++) {
		const struct heap_site_usage *usage = &half->profile->sites[i];
		pace();
		struct supervisor_site *site = &dump->sites[dump->count++];
		site->address = usage->site;
		site->scope = usage->arena ? "arena" : foreign ? "foreign" : "plugin";
		site->bytes = usage->bytes;
		site->objects = usage->objects;
		site->oldest = half->profile->epoch - usage->first_epoch;
		site->youngest = half->profile->epoch - usage->last_epoch;
		memcpy(site->age_bytes, usage->age_bytes, sizeof(site->age_bytes));
		memcpy(site->age_objects, usage->age_objects, sizeof(site->age_objects));
		site->place = places_find(places, usage->site);
		const struct supervisor_place *place = &places->all[site->place];
		site->line = place->line;
		site->offset = place->offset;
		memcpy(site->function, place->function, sizeof(site->function));
		memcpy(site->file, place->file, sizeof(site->file));
		memcpy(site->module, place->module, sizeof(site->module));
		memcpy(site->build_id, place->build_id, sizeof(site->build_id));
	}
	for (size_t i = 0; i < half->stack_count; i++) {
		const struct heap_stack_usage *usage = &half->stacks[i];
		pace();
		struct supervisor_stack *stack = &dump->stacks[dump->stack_count++];
		stack->site = usage->frames[0];
		stack->foreign = foreign;
		stack->bytes = usage->bytes;
		stack->objects = usage->objects;
		stack->allocated_bytes = usage->allocated_bytes;
		stack->allocated_objects = usage->allocated_objects;
		stack->depth = stack_depth(usage, mapping);
		for (unsigned frame = 0; frame < stack->depth; frame++)
			stack->frames[frame] = places_find(places, usage->frames[frame]);
	}
}

static int
by_bytes(const void *a, const void *b)
{
	pace(); /* sorting thousands is long, too */
	const struct supervisor_site *x = a, *y = b;
	return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : 0;
}

static int
by_site(const void *a, const void *b)
{
	const struct supervisor_stack *x = a, *y = b;

	pace();
	if (x->foreign != y->foreign)
		return x->foreign - y->foreign;
	if (x->site != y->site)
		return x->site < y->site ? -1 : 1;
	return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : 0;
}

/* The first stack of a site, or of what comes after it. */
static size_t
first_stack(const struct supervisor_dump *dump, bool foreign, uintptr_t site)
{
	size_t low = 0, high = dump->stack_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct supervisor_stack *stack = &dump->stacks[middle];
		if (stack->foreign < foreign || (stack->foreign == foreign && stack->site < site))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Gives each site the run of stacks that begin at it. */
static void
join_stacks(struct supervisor_dump *dump)
{
	if (dump->count != 0)
		qsort(dump->sites, dump->count, sizeof(*dump->sites), by_bytes);
	if (dump->stack_count != 0)
		qsort(dump->stacks, dump->stack_count, sizeof(*dump->stacks), by_site);
	for (size_t i = 0; i < dump->count; i++) {
		struct supervisor_site *site = &dump->sites[i];
		bool foreign = strcmp(site->scope, "foreign") == 0;
		pace();
		size_t first = first_stack(dump, foreign, site->address), end = first;
		while (end < dump->stack_count && dump->stacks[end].foreign == foreign &&
		       dump->stacks[end].site == site->address)
			end++;
		site->stack_count = end - first;
		site->first_stack = end > first ? first : 0;
	}
}

/* --- escapes ----------------------------------------------------------------------------------------------------- */

struct escape_list {
	struct places *places;
	struct supervisor_escape *rows;
	uintptr_t *sites;
	size_t count, room;
	int result;
};

static void
gather_escape(const struct scope_escape *escape, void *ctx)
{
	struct escape_list *list = ctx;

	if (list->count == list->room) {
		size_t room = list->room != 0 ? list->room * 2 : 16;
		struct supervisor_escape *rows = reallocarray(list->rows, room, sizeof(*rows));
		if (rows != NULL)
			list->rows = rows;
		uintptr_t *sites = reallocarray(list->sites, room, sizeof(*sites));
		if (sites != NULL)
			list->sites = sites;
		if (rows == NULL || sites == NULL) {
			list->result = -ENOMEM;
			return;
		}
		list->room = room;
	}
	if (places_add(list->places, escape->site) < 0) {
		list->result = -ENOMEM;
		return;
	}
	list->sites[list->count] = escape->site;
	list->rows[list->count++] = (struct supervisor_escape){
		.route = escape->route,
		.status_class = escape->status_class,
		.bytes = escape->bytes,
		.blocks = escape->blocks,
		.requests = escape->requests,
	};
}

static int
by_escaped(const void *a, const void *b)
{
	const struct supervisor_escape *x = a, *y = b;
	return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : 0;
}

/* Once places are resolved and stand still. */
static void
settle_escapes(struct escape_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		list->rows[i].place = places_find(list->places, list->sites[i]);
	if (list->count != 0)
		qsort(list->rows, list->count, sizeof(*list->rows), by_escaped);
}

static void
escape_list_clear(struct escape_list *list)
{
	free(list->rows);
	free(list->sites);
}

/* --- the calls --------------------------------------------------------------------------------------------------- */

static int
dump_capture(const struct capture *capture, struct unit *unit, struct instance *instance, bool peak,
	     struct supervisor_dump *dump)
{
	const struct image_mapping *mapping = instance_mapping(instance);
	CLEANUP(places_clear) struct places places = {0};
	CLEANUP(escape_list_clear) struct escape_list escapes = {.places = &places};
	const struct capture_half *own = &capture->own, *foreign = &capture->foreign;
	size_t sites = own->profile->count + (foreign->profile != NULL ? foreign->profile->count : 0);

	if (!peak) /* what has escaped by now is not of that moment */
		scope_escapes(instance_space(instance), gather_escape, &escapes);
	int r = escapes.result;
	if (r == 0)
		r = gather_half(own, mapping, &places);
	if (r == 0)
		r = gather_half(foreign, mapping, &places);
	if (r == 0)
		r = places_resolve(&places, mapping, instance_number(instance), &unit->places);
	if (r < 0)
		return r;
	settle_escapes(&escapes);
	dump->sites = calloc(sites + 1, sizeof(*dump->sites));
	dump->stacks = calloc(own->stack_count + foreign->stack_count + 1, sizeof(*dump->stacks));
	if (dump->sites == NULL || dump->stacks == NULL)
		return -ENOMEM;
	put_half(own, false, mapping, &places, dump);
	put_half(foreign, true, mapping, &places, dump);
	join_stacks(dump);
	dump->epoch = own->profile->epoch;
	dump->taken = capture->taken;
	dump->own_allocated = own->usage.allocated_bytes;
	dump->own_allocated_objects = own->usage.allocated_objects;
	dump->foreign_allocated = foreign->usage.allocated_bytes;
	dump->foreign_allocated_objects = foreign->usage.allocated_objects;
	memcpy(dump->age_bytes, own->profile->age_bytes, sizeof(dump->age_bytes));
	dump->place_count = places.count;
	dump->places = STEAL(places.all);
	dump->escape_count = escapes.count;
	dump->escapes = STEAL(escapes.rows);
	return 0;
}

/* The peak the unit keeps of that instance, NULL if there is none. */
static struct capture *
peak_of(struct supervisor *supervisor, struct unit *unit, const struct instance *instance)
{
	struct capture *peak = NULL;

	pthread_mutex_lock(&supervisor->lock);
	if (unit->peak != NULL && unit->peak->instance == instance_number(instance))
		peak = capture_ref(unit->peak);
	pthread_mutex_unlock(&supervisor->lock);
	return peak;
}

static int
dump_unit(struct supervisor *supervisor, const char *name, uint32_t min_age, bool peak, struct supervisor_dump **ret,
	  struct error *error)
{
	struct unit *unit;
	struct plugin_visit visit;
	CLEANUP(supervisor_dump_free) struct supervisor_dump *dump = calloc(1, sizeof(*dump));
	CLEANUP(capture_unref) struct capture *capture = NULL;
	if (dump == NULL)
		return error_set(error, -ENOMEM, "out of memory");

	int r = unit_enter(supervisor, name, &unit, &visit, error);
	if (r < 0)
		return r;
	pthread_mutex_lock(&supervisor->lock);
	unit_view(unit, &dump->plugin);
	pthread_mutex_unlock(&supervisor->lock);
	if (!peak)
		r = capture_take(scope_space_own(instance_space(visit.instance)), plugin_foreign(unit->plugin),
				 instance_number(visit.instance), min_age, &capture);
	else if ((capture = peak_of(supervisor, unit, visit.instance)) == NULL)
		r = -ENODATA;
	if (r == 0 && peak) {
		dump->plugin.own = capture->own.usage;
		dump->plugin.foreign = capture->foreign.usage;
	}
	if (r == 0)
		r = dump_capture(capture, unit, visit.instance, peak, dump);
	plugin_leave(&visit);
	if (r == -ENODATA)
		return error_set(error, r,
				 "no peak of plugin %s was kept yet; one is, within a second or two, whenever its live "
				 "bytes have risen by a tenth",
				 name);
	if (r < 0)
		return error_set(error, r, "cannot dump plugin %s: %s", name, strerror(-r));
	*ret = STEAL(dump);
	return 0;
}

int
supervisor_dump(struct supervisor *supervisor, const char *name, uint32_t min_age, struct supervisor_dump **ret,
		struct error *error)
{
	return dump_unit(supervisor, name, min_age, false, ret, error);
}

int
supervisor_dump_peak(struct supervisor *supervisor, const char *name, struct supervisor_dump **ret, struct error *error)
{
	return dump_unit(supervisor, name, 0, true, ret, error);
}

void
supervisor_dump_free(struct supervisor_dump **dumpp)
{
	struct supervisor_dump *dump = *dumpp;

	if (dump == NULL)
		return;
	free(dump->sites);
	free(dump->stacks);
	free(dump->places);
	free(dump->escapes);
	free(dump);
	*dumpp = NULL;
}

int
supervisor_escapes(struct supervisor *supervisor, const char *name, struct supervisor_escapes *ret, struct error *error)
{
	struct unit *unit;
	struct plugin_visit visit;
	CLEANUP(places_clear) struct places places = {0};
	CLEANUP(escape_list_clear) struct escape_list list = {.places = &places};

	int r = unit_enter(supervisor, name, &unit, &visit, error);
	if (r < 0)
		return r;
	scope_escapes(instance_space(visit.instance), gather_escape, &list);
	r = list.result;
	if (r == 0)
		r = places_resolve(&places, instance_mapping(visit.instance), instance_number(visit.instance),
				   &unit->places);
	uint64_t instance = instance_number(visit.instance);
	plugin_leave(&visit);
	if (r < 0)
		return error_set(error, r, "cannot name the escapes of plugin %s: %s", name, strerror(-r));
	settle_escapes(&list);
	*ret = (struct supervisor_escapes){.instance = instance, .count = list.count, .place_count = places.count};
	ret->rows = STEAL(list.rows);
	ret->places = STEAL(places.all);
	return 0;
}

void
supervisor_escapes_clear(struct supervisor_escapes *escapes)
{
	free(escapes->rows);
	free(escapes->places);
	*escapes = (struct supervisor_escapes){0};
}

int
supervisor_sampling(struct supervisor *supervisor, const char *name, uint64_t interval, struct error *error)
{
	struct unit *unit;

	int r = supervisor_take(supervisor, name, &unit, error);
	if (r < 0)
		return r;
	struct instance *instance = unit_serving(unit);
	pthread_mutex_lock(&supervisor->lock);
	unit->sampling_set = true;
	unit->sampling = interval;
	pthread_mutex_unlock(&supervisor->lock);
	if (instance != NULL)
		heap_set_sampling(scope_space_own(instance_space(instance)), interval);
	heap_set_sampling(plugin_foreign(unit->plugin), interval);
	pthread_mutex_unlock(&unit->change);
	return 0;
}

int
supervisor_resolve(struct supervisor *supervisor, const char *name, uintptr_t address, struct supervisor_place *ret,
		   struct error *error)
{
	struct unit *unit;
	struct plugin_visit visit;
	CLEANUP(places_clear) struct places places = {0};

	int r = unit_enter(supervisor, name, &unit, &visit, error);
	if (r < 0)
		return r;
	r = places_add(&places, address);
	if (r == 0)
		r = places_resolve(&places, instance_mapping(visit.instance), instance_number(visit.instance),
				   &unit->places);
	plugin_leave(&visit);
	if (r < 0)
		return error_set(error, r, "cannot name a place of plugin %s: %s", name, strerror(-r));
	*ret = places.all[0];
	return 0;
}
