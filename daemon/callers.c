/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "callers.h"

#include "cleanup.h"
#include "pace.h"
#include "portion.h"

#include <errno.h>
#include <string.h>

bool
callers_is_wrapper(const char *function)
{
	static const char *const parts[] = {"alloc",   "Alloc",  "ALLOC",    "strdup",
					    "strndup", "memdup", "asprintf", "operator new"};

	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
		if (strstr(function, parts[i]) != NULL)
			return true;
	return false;
}

static struct callers_row
caller_of(const struct supervisor_dump *dump, const struct supervisor_stack *stack)
{
	for (unsigned i = 1; i < stack->depth; i++) {
		const struct supervisor_place *place = &dump->places[stack->frames[i]];
		if (place->inside && !callers_is_wrapper(place->function))
			return (struct callers_row){.caller = stack->frames[i], .known = true};
	}
	return (struct callers_row){.caller = stack->frames[0]};
}

static int
by_bytes(const void *a, const void *b)
{
	const struct callers_row *x = a, *y = b;
	return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : 0;
}

/* Appends the site's rows; returns how many. rows has room for one a stack. */
static size_t
callers_of_site(const struct supervisor_dump *dump, size_t index, struct callers_row *rows)
{
	const struct supervisor_site *site = &dump->sites[index];
	const struct supervisor_stack *stacks = dump->stacks + site->first_stack;
	struct portion bytes = {.total = site->bytes};
	size_t count = 0;

	for (size_t i = 0; i < site->stack_count; i++)
		bytes.weight += stacks[i].bytes;
	for (size_t i = 0; i < site->stack_count; i++) {
		pace();
		struct callers_row row = caller_of(dump, &stacks[i]);
		size_t at = 0;
		row.site = index;
		row.bytes = portion_take(&bytes, stacks[i].bytes);
		if (row.bytes == 0)
			continue;
		while (at < count && (rows[at].caller != row.caller || rows[at].known != row.known))
			at++;
		if (at == count)
			rows[count++] = row;
		else
			rows[at].bytes += row.bytes;
	}
	if (count > 1)
		qsort(rows, count, sizeof(*rows), by_bytes);
	return count;
}

int
callers_find(const struct supervisor_dump *dump, size_t sites, bool all, struct callers_row **ret, size_t *ret_count)
{
	size_t room = 1, count = 0;

	for (size_t i = 0; i < dump->count && i < sites; i++)
		room += dump->sites[i].stack_count;
	struct callers_row *rows = calloc(room, sizeof(*rows));
	if (rows == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < dump->count && i < sites; i++) {
		size_t found = callers_of_site(dump, i, rows + count);
		if (all || found > 1 || callers_is_wrapper(dump->sites[i].function))
			count += found;
	}
	*ret = rows;
	*ret_count = count;
	return 0;
}
