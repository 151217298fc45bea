/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dumps as folded stacks and as pprof: the latter is unpacked and read again, and every sum must be the dump's. */
#include "cleanup.h"
#include "format.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

/* --- a dump ------------------------------------------------------------------------------------------------------ */

enum { WRAPPER = 1, LEFT, RIGHT, ENTRY, LIBRARY };

static struct supervisor_place places[] = {
	{.address = 0, .module = "?"},
	{.address = 0x1011, .function = "xmalloc", .file = "/src/x.c", .line = 5, .offset = 0x10, .inside = true},
	{.address = 0x1021, .function = "left", .file = "/src/x.c", .line = 12, .offset = 0x20, .inside = true},
	{.address = 0x1031, .function = "right;odd\n", .file = "/src/x.c", .line = 17, .offset = 0x30, .inside = true},
	{.address = 0x1041, .offset = 0x40, .inside = true},
	{.address = 0x9001, .function = "strdup", .offset = 0x1000},
};

/* Three live samples to one: 1,003 bytes do not divide evenly. */
static struct supervisor_stack stacks[] = {
	{.site = 0x1011,
	 .bytes = 300,
	 .objects = 3,
	 .allocated_bytes = 900,
	 .allocated_objects = 9,
	 .depth = 3,
	 .frames = {WRAPPER, LEFT, ENTRY}},
	{.site = 0x1011,
	 .bytes = 100,
	 .objects = 1,
	 .allocated_bytes = 100,
	 .allocated_objects = 1,
	 .depth = 3,
	 .frames = {WRAPPER, RIGHT, ENTRY}},
	{.site = 0x9001,
	 .foreign = true,
	 .allocated_bytes = 64,
	 .allocated_objects = 2,
	 .depth = 2,
	 .frames = {LIBRARY, LEFT}},
};

static struct supervisor_site sites[] = {
	{.address = 0x1011,
	 .scope = "plugin",
	 .bytes = 1003,
	 .objects = 11,
	 .place = WRAPPER,
	 .stack_count = 2,
	 .age_bytes = {3, 0, 1000},
	 .age_objects = {1, 0, 10}},
	{.address = 0x9001,
	 .scope = "foreign",
	 .bytes = 50,
	 .objects = 1,
	 .place = LIBRARY,
	 .first_stack = 2,
	 .stack_count = 1,
	 .age_bytes = {50},
	 .age_objects = {1}},
	{.address = 0x1021,
	 .scope = "arena",
	 .bytes = 7,
	 .objects = 1,
	 .place = LEFT,
	 .age_bytes = {0, 7},
	 .age_objects = {0, 1}},
};

static struct supervisor_escape escapes[] = {
	{.place = WRAPPER, .route = 3, .status_class = 5, .bytes = 401, .blocks = 4, .requests = 2},
	{.place = 0, .bytes = 9, .blocks = 1, .requests = 1},
};

static struct supervisor_dump
make_dump(void)
{
	struct supervisor_dump dump = {
		.plugin = {.name = "wrap", .instance = 4},
		.epoch = 77,
		.taken = 1600000000,
		.count = ARRAY_LENGTH(sites),
		.sites = sites,
		.place_count = ARRAY_LENGTH(places),
		.stack_count = ARRAY_LENGTH(stacks),
		.escape_count = ARRAY_LENGTH(escapes),
		.places = places,
		.stacks = stacks,
		.escapes = escapes,
		.own_allocated = 2000,
		.own_allocated_objects = 40,
		.foreign_allocated = 60,
		.foreign_allocated_objects = 3,
	};

	for (size_t i = 0; i < ARRAY_LENGTH(places); i++)
		strcpy(places[i].module, i == 0 ? "?" : i == LIBRARY ? "libc.so.6" : "wrap.so");
	strcpy(places[WRAPPER].build_id, "c0ffee");
	return dump;
}

static const char *
name_route(void *ctx, unsigned number)
{
	assert_ptr_equal(ctx, places);
	return number == 3 ? "api" : NULL;
}

/* --- reading it again -------------------------------------------------------------------------------------------- */

enum { STRINGS = 64, SAMPLES = 64, PLACES = 32, VALUES = 5 };

struct span {
	const unsigned char *at, *end;
};

struct profile {
	char strings[STRINGS][64];
	size_t string_count, type_count, sample_count, mapping_count;
	uint64_t types[8];
	struct {
		uint64_t locations[8], values[VALUES];
		size_t depth;
		char labels[256]; /* "key=value " in the order they came */
	} samples[SAMPLES];
	struct {
		uint64_t mapping, address, function, line;
	} locations[PLACES];
	uint64_t function_names[PLACES], function_files[PLACES];
	struct {
		uint64_t start, limit, name, build_id, flags;
	} mappings[PLACES];
	uint64_t time, comment, default_type;
};

static uint64_t
read_number(struct span *span)
{
	uint64_t value = 0;

	for (unsigned shift = 0;; shift += 7) {
		assert_true(span->at < span->end && shift < 64);
		value |= (uint64_t) (*span->at & 0x7f) << shift;
		if (!(*span->at++ & 0x80))
			return value;
	}
}

/* One field: its number and either its value or its bytes. */
static unsigned
read_field(struct span *span, uint64_t *value, struct span *bytes)
{
	uint64_t key = read_number(span);

	*value = read_number(span);
	if ((key & 7) == 2) {
		assert_true(*value <= (uint64_t) (span->end - span->at));
		*bytes = (struct span){span->at, span->at + *value};
		span->at += *value;
	} else {
		assert_int_equal(key & 7, 0);
	}
	return (unsigned) (key >> 3);
}

/* The fields of a flat message, by number; 0: absent. */
static void
read_flat(struct span span, uint64_t *fields, size_t count)
{
	struct span ignored;
	uint64_t value;

	memset(fields, 0, count * sizeof(*fields));
	while (span.at < span.end) {
		unsigned field = read_field(&span, &value, &ignored);
		assert_true(field < count);
		fields[field] = value;
	}
}

static void
read_sample(struct profile *profile, struct span span)
{
	struct span bytes;
	uint64_t value, fields[4];
	size_t at = profile->sample_count++, values = 0;

	assert_true(at < SAMPLES);
	while (span.at < span.end) {
		unsigned field = read_field(&span, &value, &bytes);
		if (field == 1)
			while (bytes.at < bytes.end)
				profile->samples[at].locations[profile->samples[at].depth++] = read_number(&bytes);
		if (field == 2)
			while (bytes.at < bytes.end)
				profile->samples[at].values[values++] = read_number(&bytes);
		if (field == 3) {
			char *labels = profile->samples[at].labels + strlen(profile->samples[at].labels);
			read_flat(bytes, fields, 4);
			assert_true(fields[1] < profile->string_count && fields[2] < profile->string_count);
			labels = stpcpy(stpcpy(labels, profile->strings[fields[1]]), "=");
			(void) stpcpy(stpcpy(labels, profile->strings[fields[2]]), " ");
		}
	}
	assert_int_equal(values, VALUES);
}

static void
read_location(struct profile *profile, struct span span)
{
	uint64_t value, id = 0, fields[3] = {0};
	struct span bytes;

	while (span.at < span.end) {
		switch (read_field(&span, &value, &bytes)) {
		case 1:
			id = value;
			assert_in_range(id, 1, PLACES - 1);
			break;
		case 2:
			profile->locations[id].mapping = value;
			break;
		case 3:
			profile->locations[id].address = value;
			break;
		case 4:
			read_flat(bytes, fields, 3);
			profile->locations[id].function = fields[1];
			profile->locations[id].line = fields[2];
			break;
		}
	}
}

static void
read_profile_field(struct profile *profile, unsigned field, uint64_t value, struct span bytes)
{
	uint64_t fields[10];

	switch (field) {
	case 1:
		read_flat(bytes, fields, 3);
		profile->types[profile->type_count++] = fields[1];
		break;
	case 2:
		read_sample(profile, bytes);
		break;
	case 3:
		read_flat(bytes, fields, 10);
		assert_in_range(fields[1], 1, PLACES - 1);
		profile->mapping_count++;
		profile->mappings[fields[1]].start = fields[2];
		profile->mappings[fields[1]].limit = fields[3];
		profile->mappings[fields[1]].name = fields[5];
		profile->mappings[fields[1]].build_id = fields[6];
		profile->mappings[fields[1]].flags = fields[7] << 2 | fields[8] << 1 | fields[9];
		break;
	case 4:
		read_location(profile, bytes);
		break;
	case 5:
		read_flat(bytes, fields, 10);
		assert_in_range(fields[1], 1, PLACES - 1);
		profile->function_names[fields[1]] = fields[2];
		profile->function_files[fields[1]] = fields[4];
		break;
	case 9:
		profile->time = value;
		break;
	case 13:
		profile->comment = value;
		break;
	case 14:
		profile->default_type = value;
		break;
	}
}

/* Strings first, as labels are read by them. */
static void
read_profile(struct span whole, struct profile *profile)
{
	struct span span = whole, bytes = {0};
	uint64_t value;

	*profile = (struct profile){0};
	while (span.at < span.end) {
		if (read_field(&span, &value, &bytes) != 6)
			continue;
		assert_true(profile->string_count < STRINGS && bytes.end - bytes.at < 64);
		memcpy(profile->strings[profile->string_count++], bytes.at, (size_t) (bytes.end - bytes.at));
	}
	for (span = whole; span.at < span.end;) {
		unsigned field = read_field(&span, &value, &bytes);
		read_profile_field(profile, field, value, bytes);
	}
}

static void
unpack(const void *data, size_t size, unsigned char *plain, size_t room, struct span *ret)
{
	z_stream stream = {
		.next_in = (Bytef *) data, .avail_in = (uInt) size, .next_out = plain, .avail_out = (uInt) room};

	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_int_equal(stream.avail_in, 0);
	*ret = (struct span){plain, plain + stream.total_out};
	assert_int_equal(inflateEnd(&stream), Z_OK);
}

static uint64_t
sum(const struct profile *profile, unsigned value, const char *label)
{
	uint64_t total = 0;

	for (size_t i = 0; i < profile->sample_count; i++)
		if (strstr(profile->samples[i].labels, label) != NULL)
			total += profile->samples[i].values[value];
	return total;
}

/* --- tests ------------------------------------------------------------------------------------------------------- */

static void
test_folded_lines_add_up_to_the_sites(void **state UNUSED)
{
	struct supervisor_dump dump = make_dump();
	CLEANUP_FREE char *text = NULL;
	size_t length = 0;

	assert_int_equal(format_folded(&dump, &text, &length), 0);
	assert_int_equal(length, strlen(text));
	assert_string_equal(text, "wrap;wrap.so+0x40;left;xmalloc 752\n"
				  "wrap;wrap.so+0x40;right:odd?;xmalloc 251\n"
				  "wrap;[foreign];strdup 50\n"
				  "wrap;[arena];left 7\n");
}

static void
test_nothing_is_an_empty_text(void **state UNUSED)
{
	struct supervisor_dump dump = {.plugin = {.name = "none"}};
	CLEANUP_FREE char *text = NULL;
	size_t length = 1;

	assert_int_equal(format_folded(&dump, &text, &length), 0);
	assert_int_equal(length, 0);
	assert_string_equal(text, "");
}

static void
read_dump(struct profile *profile)
{
	static unsigned char plain[65536];
	struct supervisor_dump dump = make_dump();
	CLEANUP_FREE void *packed = NULL;
	size_t size = 0;
	struct span span;

	assert_int_equal(format_pprof(&dump, name_route, places, &packed, &size), 0);
	unpack(packed, size, plain, sizeof(plain), &span);
	read_profile(span, profile);
}

static void
test_pprof_sums_are_the_dump(void **state UNUSED)
{
	static const char *const types[] = {"inuse_space", "inuse_objects", "alloc_space", "alloc_objects",
					    "escaped_space"};
	static struct profile profile;

	read_dump(&profile);
	assert_int_equal(profile.type_count, VALUES);
	for (size_t i = 0; i < VALUES; i++)
		assert_string_equal(profile.strings[profile.types[i]], types[i]);
	assert_string_equal(profile.strings[0], "");
	assert_string_equal(profile.strings[profile.default_type], "inuse_space");
	assert_true(profile.time == UINT64_C(1600000000) * 1000000000);
	assert_non_null(strstr(profile.strings[profile.comment], "request clock 77"));
	/* In use: exact, as a whole, by scope and by age. */
	assert_int_equal(sum(&profile, 0, ""), 1060);
	assert_int_equal(sum(&profile, 1, ""), 13);
	assert_int_equal(sum(&profile, 0, "scope=plugin"), 1003);
	assert_int_equal(sum(&profile, 0, "scope=foreign"), 50);
	assert_int_equal(sum(&profile, 0, "scope=arena"), 7);
	assert_int_equal(sum(&profile, 0, "age=0 "), 53);
	assert_int_equal(sum(&profile, 0, "age=1 "), 7);
	assert_int_equal(sum(&profile, 0, "age=2-3 "), 1000);
	assert_int_equal(sum(&profile, 1, "age=2-3 "), 10);
	/* Allocated: all of it, whatever the samples say. */
	assert_int_equal(sum(&profile, 2, ""), 2060);
	assert_int_equal(sum(&profile, 3, ""), 43);
	assert_int_equal(sum(&profile, 2, "scope=foreign"), 60);
	/* Escaped: by route and class, and what found no room has neither. */
	assert_int_equal(sum(&profile, 4, ""), 410);
	assert_int_equal(sum(&profile, 4, "route=api status=5xx"), 401);
	assert_int_equal(sum(&profile, 4, "route="), 401);
	for (size_t i = 0; i < profile.sample_count; i++)
		assert_true(strncmp(profile.samples[i].labels, "plugin=wrap instance=4 ", 23) == 0);
}

static void
test_pprof_stacks_have_names_and_lines(void **state UNUSED)
{
	static struct profile profile;
	uint64_t left = 0, mapping;

	read_dump(&profile);
	for (size_t i = 0; i < profile.sample_count; i++) {
		const uint64_t *locations = profile.samples[i].locations;
		if (profile.samples[i].depth != 3 || strstr(profile.samples[i].labels, "age=2-3") == NULL)
			continue;
		const char *middle = profile.strings[profile.function_names[profile.locations[locations[1]].function]];
		assert_int_equal(profile.locations[locations[0]].address, 0x1010);
		assert_int_equal(profile.locations[locations[0]].line, 5);
		assert_string_equal(profile.strings[profile.function_names[profile.locations[locations[0]].function]],
				    "xmalloc");
		assert_string_equal(profile.strings[profile.function_files[profile.locations[locations[0]].function]],
				    "/src/x.c");
		assert_int_equal(profile.locations[locations[2]].function, 0);
		if (strcmp(middle, "left") == 0)
			left += profile.samples[i].values[0];
		else
			assert_string_equal(middle, "right;odd\n");
	}
	assert_int_equal(left, 750);
	mapping = profile.locations[profile.samples[0].locations[0]].mapping;
	assert_in_range(mapping, 1, profile.mapping_count);
	assert_int_equal(profile.mappings[mapping].start, 0x1000);
	assert_int_equal(profile.mappings[mapping].limit, 0x2000);
	assert_string_equal(profile.strings[profile.mappings[mapping].name], "wrap.so");
	assert_string_equal(profile.strings[profile.mappings[mapping].build_id], "c0ffee");
}

/* Many frames, strings and samples: tables that grow keep what they had. */
static void
test_pprof_of_a_large_dump(void **state UNUSED)
{
	enum { COUNT = 3000, ROOM = 8 << 20 };
	CLEANUP_FREE struct supervisor_place *many = calloc(COUNT, sizeof(*many));
	CLEANUP_FREE struct supervisor_site *rows = calloc(COUNT, sizeof(*rows));
	CLEANUP_FREE unsigned char *plain = malloc(ROOM);
	CLEANUP_FREE void *packed = NULL;
	struct supervisor_dump dump = {
		.plugin = {.name = "big"}, .count = COUNT, .sites = rows, .places = many, .place_count = COUNT};
	uint64_t value, bytes = 0;
	size_t size = 0, counts[16] = {0};
	struct span span, inner, packed_values;

	assert_true(many != NULL && rows != NULL && plain != NULL);
	for (unsigned i = 0; i < COUNT; i++) {
		many[i] = (struct supervisor_place){.address = 0x10000 + 16 * i, .line = 1};
		(void) snprintf(many[i].function, sizeof(many[i].function), "function_%u", i);
		strcpy(many[i].module, "big.so");
		rows[i] = (struct supervisor_site){.address = many[i].address,
						   .scope = "plugin",
						   .place = i,
						   .bytes = i + 1,
						   .objects = 1,
						   .age_bytes = {i + 1},
						   .age_objects = {1}};
	}
	assert_int_equal(format_pprof(&dump, name_route, places, &packed, &size), 0);
	unpack(packed, size, plain, ROOM, &span);
	while (span.at < span.end) {
		unsigned field = read_field(&span, &value, &inner);
		counts[field]++;
		while (field == 2 && inner.at < inner.end)
			if (read_field(&inner, &value, &packed_values) == 2)
				bytes += read_number(&packed_values);
	}
	assert_int_equal(counts[4], COUNT);
	assert_int_equal(counts[5], COUNT);
	assert_int_equal(counts[2], 2 * COUNT); /* in use and allocated */
	assert_int_equal(bytes, (uint64_t) COUNT * (COUNT + 1) / 2);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folded_lines_add_up_to_the_sites),
		cmocka_unit_test(test_nothing_is_an_empty_text),
		cmocka_unit_test(test_pprof_sums_are_the_dump),
		cmocka_unit_test(test_pprof_stacks_have_names_and_lines),
		cmocka_unit_test(test_pprof_of_a_large_dump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
