/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "difference.h"

#include "cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *
difference_word(const json_t *site, const char *key)
{
	const char *word = json_string_value(json_object_get(site, key));

	return word ? word : "";
}

static json_int_t
difference_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* What makes a site the same in two dumps. */
static char *
difference_key(const json_t *site)
{
	const char *file = difference_word(site, "file");
	char *key = NULL;
	int n = *file ? asprintf(&key, "%s\n%s\n%s\n%" JSON_INTEGER_FORMAT, difference_word(site, "scope"),
				 difference_word(site, "function"), file, difference_number(site, "line"))
		      : asprintf(&key, "%s\n%s\n%s\n+%" JSON_INTEGER_FORMAT, difference_word(site, "scope"),
				 difference_word(site, "function"), difference_word(site, "module"),
				 difference_number(site, "offset"));

	return n < 0 ? NULL : key;
}

/* Adds the sites of a dump, forwards or backwards, to the rows by key. */
static int
difference_add(json_t *rows, const json_t *dump, int sign)
{
	const json_t *site;
	size_t i;

	json_array_foreach(json_object_get(dump, "sites"), i, site) {
		CLEANUP_FREE char *key = difference_key(site);
		json_t *row = key ? json_object_get(rows, key) : NULL;

		if (key && !row) {
			row = json_deep_copy(site);
			if (sign < 0) { /* it is gone, unless the other dump adds to it */
				json_object_set_new(row, "bytes", json_integer(0));
				json_object_set_new(row, "objects", json_integer(0));
			}
			if (json_object_set_new(rows, key, row) < 0)
				return -ENOMEM;
		} else if (row && sign > 0) {
			json_object_set_new(
				row, "bytes",
				json_integer(difference_number(row, "bytes") + difference_number(site, "bytes")));
			json_object_set_new(
				row, "objects",
				json_integer(difference_number(row, "objects") + difference_number(site, "objects")));
		}
		if (!row)
			return -ENOMEM;
		json_object_set_new(
			row, "bytes_change",
			json_integer(difference_number(row, "bytes_change") + sign * difference_number(site, "bytes")));
		json_object_set_new(row, "objects_change",
				    json_integer(difference_number(row, "objects_change") +
						 sign * difference_number(site, "objects")));
	}
	return 0;
}

static int
difference_compare(const void *a, const void *b)
{
	json_int_t x = difference_number(*(json_t *const *) a, "bytes_change");
	json_int_t y = difference_number(*(json_t *const *) b, "bytes_change");

	return x < y ? 1 : x > y ? -1 : 0;
}

static json_t *
difference_sort(json_t *rows)
{
	size_t count = json_object_size(rows), used = 0;
	CLEANUP_FREE json_t **all = calloc(count + 1, sizeof(json_t *));
	json_t *sorted = json_array(), *row;
	const char *key;

	json_object_foreach(rows, key, row) {
		if (all && (difference_number(row, "bytes_change") || difference_number(row, "objects_change")))
			all[used++] = row;
	}
	if (!all || !sorted) {
		json_decref(sorted);
		return NULL;
	}
	if (used > 0)
		qsort(all, used, sizeof(json_t *), difference_compare);
	for (size_t i = 0; i < used; i++)
		json_array_append(sorted, all[i]);
	return sorted;
}

static int
difference_check(const json_t *now, const json_t *base, struct error *error)
{
	const json_t *sites = json_object_get(base, "sites"), *site;
	const char *plugin = json_string_value(json_object_get(base, "plugin"));
	size_t i;

	if (!plugin || !json_is_array(sites))
		return error_set(error, -EINVAL,
				 "the base is no dump; save one with: mtlsctl dump PLUGIN --format json");
	if (strcmp(plugin, difference_word(now, "plugin")) != 0)
		return error_set(error, -EINVAL, "the base is a dump of plugin \"%.40s\"", plugin);
	if (json_object_get(base, "others"))
		return error_set(error, -EINVAL,
				 "the base was cut to its %zu largest sites; save one with all of them: mtlsctl dump "
				 "PLUGIN --format json",
				 json_array_size(sites));
	json_array_foreach(sites, i, site) {
		if (!json_is_integer(json_object_get(site, "bytes")) ||
		    !json_is_integer(json_object_get(site, "objects")))
			return error_set(error, -EINVAL,
					 "site %zu of the base has no whole numbers of bytes and objects", i);
	}
	return 0;
}

int
difference_make(const json_t *now, const json_t *base, json_t **ret, json_t **ret_changes, struct error *error)
{
	json_t *rows = NULL, *sorted = NULL, *about = NULL;
	int r = difference_check(now, base, error);

	if (r < 0)
		return r;
	rows = json_object();
	r = difference_add(rows, now, 1);
	if (r == 0)
		r = difference_add(rows, base, -1);
	if (r == 0)
		sorted = difference_sort(rows);
	json_decref(rows);
	about = json_pack("{s:I, s:I, s:I}", "instance", difference_number(base, "instance"), "epoch",
			  difference_number(base, "epoch"), "live_bytes", difference_number(base, "live_bytes"));
	if (!sorted || !about) {
		json_decref(sorted);
		json_decref(about);
		return error_set(error, -ENOMEM, "out of memory");
	}
	*ret = about;
	*ret_changes = sorted;
	return 0;
}
