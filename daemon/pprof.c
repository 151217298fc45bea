/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pprof.h"

#include "cleanup.h"
#include "pace.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

/* Field numbers of profile.proto. */
enum {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_MAPPING = 3,
	PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5,
	PROFILE_STRING_TABLE = 6,
	PROFILE_TIME_NANOS = 9,
	PROFILE_COMMENT = 13,
	PROFILE_DEFAULT_SAMPLE_TYPE = 14,
	VALUE_TYPE_TYPE = 1,
	VALUE_TYPE_UNIT = 2,
	SAMPLE_LOCATION_ID = 1,
	SAMPLE_VALUE = 2,
	SAMPLE_LABEL = 3,
	LABEL_KEY = 1,
	LABEL_STR = 2,
	MAPPING_ID = 1,
	MAPPING_START = 2,
	MAPPING_LIMIT = 3,
	MAPPING_FILENAME = 5,
	MAPPING_BUILD_ID = 6,
	MAPPING_HAS_FUNCTIONS = 7,
	MAPPING_HAS_FILENAMES = 8,
	MAPPING_HAS_LINES = 9,
	LOCATION_ID = 1,
	LOCATION_MAPPING_ID = 2,
	LOCATION_ADDRESS = 3,
	LOCATION_LINE = 4,
	LINE_FUNCTION_ID = 1,
	LINE_LINE = 2,
	FUNCTION_ID = 1,
	FUNCTION_NAME = 2,
	FUNCTION_SYSTEM_NAME = 3,
	FUNCTION_FILENAME = 4,
};
enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };
enum { PAGE = 4096, GZIP_WINDOW = 15 + 16, GZIP_SLICE = 1024 };

struct buffer {
	char *data;
	size_t length, room;
	bool failed;
};

/* Keys of any bytes to numbers from 1 on, in the order they came. */
struct index {
	struct index_entry {
		char *key; /* NULL: free */
		size_t length;
		uint64_t number;
	} * entries;
	size_t room; /* a power of two */
	uint64_t count;
};

struct mapping {
	uint64_t start, limit, name, build_id;
	bool functions, files, lines;
};

struct pprof {
	struct buffer out;     /* the profile so far */
	struct buffer message; /* the one being written */
	struct buffer inner;   /* one inside of it */
	struct index strings, mappings, functions, locations;
	struct mapping *mapped; /* by number - 1 */
	size_t types;           /* values a sample has */
	bool failed;
};

/* --- buffers ----------------------------------------------------------------------------------------------------- */

static void
buffer_add(struct buffer *buffer, const void *data, size_t length)
{
	if (buffer->room - buffer->length < length && !buffer->failed) {
		size_t room = buffer->room != 0 ? buffer->room : 256;
		while (room - buffer->length < length)
			room *= 2;
		char *grown = realloc(buffer->data, room);
		buffer->failed = grown == NULL;
		if (grown != NULL) {
			buffer->data = grown;
			buffer->room = room;
		}
	}
	if (buffer->failed || length == 0)
		return;
	memcpy(buffer->data + buffer->length, data, length);
	buffer->length += length;
}

static void
buffer_varint(struct buffer *buffer, uint64_t value)
{
	unsigned char bytes[10];
	size_t length = 0;

	do {
		bytes[length++] = (unsigned char) (value | 0x80);
		value >>= 7;
	} while (value != 0);
	bytes[length - 1] &= 0x7f;
	buffer_add(buffer, bytes, length);
}

static void
buffer_number(struct buffer *buffer, unsigned field, uint64_t value)
{
	if (value == 0) /* proto3: what is absent is 0 */
		return;
	buffer_varint(buffer, field << 3 | WIRE_VARINT);
	buffer_varint(buffer, value);
}

static void
buffer_bytes(struct buffer *buffer, unsigned field, const void *data, size_t length)
{
	buffer_varint(buffer, field << 3 | WIRE_BYTES);
	buffer_varint(buffer, length);
	buffer_add(buffer, data, length);
}

/* The inner buffer as a field of the outer; the inner one is empty then. */
static void
buffer_close(struct buffer *outer, unsigned field, struct buffer *inner)
{
	outer->failed |= inner->failed;
	buffer_bytes(outer, field, inner->data, inner->length);
	inner->length = 0;
}

/* --- numbers of things ------------------------------------------------------------------------------------------- */

static uint64_t
index_hash(const char *key, size_t length)
{
	uint64_t hash = 14695981039346656037ULL;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char) key[i]) * 1099511628211ULL;
	return hash ^ hash >> 32;
}

static struct index_entry *
index_place(struct index_entry *entries, size_t room, const char *key, size_t length)
{
	for (size_t at = index_hash(key, length) & (room - 1);; at = (at + 1) & (room - 1))
		if (entries[at].key == NULL ||
		    (entries[at].length == length && memcmp(entries[at].key, key, length) == 0))
			return &entries[at];
}

static bool
index_grow(struct index *index)
{
	size_t room = index->room != 0 ? index->room * 2 : 64;
	struct index_entry *entries = calloc(room, sizeof(*entries));

	if (entries == NULL)
		return false;
	for (size_t i = 0; i < index->room; i++)
		if (index->entries[i].key != NULL)
			*index_place(entries, room, index->entries[i].key, index->entries[i].length) =
				index->entries[i];
	free(index->entries);
	index->entries = entries;
	index->room = room;
	return true;
}

/* 0: out of memory. */
static uint64_t
index_number(struct index *index, const void *key, size_t length, bool *ret_new)
{
	*ret_new = false;
	if (index->count >= index->room / 2 && !index_grow(index))
		return 0;
	struct index_entry *entry = index_place(index->entries, index->room, key, length);
	if (entry->key != NULL)
		return entry->number;
	entry->key = malloc(length + 1);
	if (entry->key == NULL)
		return 0;
	memcpy(entry->key, key, length);
	entry->length = length;
	entry->number = ++index->count;
	*ret_new = true;
	return entry->number;
}

static void
index_clear(struct index *index)
{
	for (size_t i = 0; i < index->room; i++)
		free(index->entries[i].key);
	free(index->entries);
}

/* Strings are numbered from 0, which is the empty one. */
static uint64_t
pprof_string(struct pprof *pprof, const char *text)
{
	bool new;
	uint64_t number = index_number(&pprof->strings, text, strlen(text), &new);

	pprof->failed |= number == 0;
	if (new)
		buffer_bytes(&pprof->out, PROFILE_STRING_TABLE, text, strlen(text));
	return number != 0 ? number - 1 : 0;
}

/* --- parts of a profile ------------------------------------------------------------------------------------------ */

int
pprof_new(const struct pprof_type *types, size_t count, struct pprof **ret)
{
	struct pprof *pprof CLEANUP(pprof_free) = calloc(1, sizeof(*pprof));

	if (pprof == NULL)
		return -ENOMEM;
	pprof->types = count;
	(void) pprof_string(pprof, "");
	for (size_t i = 0; i < count; i++) {
		buffer_number(&pprof->message, VALUE_TYPE_TYPE, pprof_string(pprof, types[i].name));
		buffer_number(&pprof->message, VALUE_TYPE_UNIT, pprof_string(pprof, types[i].unit));
		buffer_close(&pprof->out, PROFILE_SAMPLE_TYPE, &pprof->message);
	}
	buffer_number(&pprof->out, PROFILE_DEFAULT_SAMPLE_TYPE, pprof_string(pprof, types[0].name));
	*ret = STEAL(pprof);
	return 0;
}

static uint64_t
pprof_mapping(struct pprof *pprof, const struct pprof_frame *frame)
{
	uint64_t key[3] = {frame->address - frame->offset, pprof_string(pprof, frame->module),
			   pprof_string(pprof, frame->build_id != NULL ? frame->build_id : "")};
	bool new;
	uint64_t number = index_number(&pprof->mappings, key, sizeof(key), &new);

	if (new) {
		struct mapping *grown = reallocarray(pprof->mapped, number, sizeof(*grown));
		if (grown == NULL) {
			pprof->failed = true;
			return 0;
		}
		pprof->mapped = grown;
		pprof->mapped[number - 1] = (struct mapping){.start = key[0],
							     .name = key[1],
							     .build_id = key[2],
							     .functions = true,
							     .files = true,
							     .lines = true};
	}
	if (number == 0 || pprof->failed) {
		pprof->failed = true;
		return 0;
	}
	struct mapping *mapping = &pprof->mapped[number - 1];
	uint64_t end = (frame->address / PAGE + 1) * PAGE;
	if (mapping->limit < end)
		mapping->limit = end;
	/* "Has" means: all there is is here, so that pprof need not look for the binary. */
	mapping->functions &= frame->function != NULL && frame->function[0] != '\0';
	mapping->files &= frame->file != NULL && frame->file[0] != '\0';
	mapping->lines &= frame->line != 0;
	return number;
}

static uint64_t
pprof_function(struct pprof *pprof, const char *name, const char *file)
{
	uint64_t key[2] = {pprof_string(pprof, name), pprof_string(pprof, file != NULL ? file : "")};
	bool new;
	uint64_t number = index_number(&pprof->functions, key, sizeof(key), &new);

	pprof->failed |= number == 0;
	if (!new)
		return number;
	struct buffer *message = &pprof->message;
	buffer_number(message, FUNCTION_ID, number);
	buffer_number(message, FUNCTION_NAME, key[0]);
	buffer_number(message, FUNCTION_SYSTEM_NAME, key[0]);
	buffer_number(message, FUNCTION_FILENAME, key[1]);
	buffer_close(&pprof->out, PROFILE_FUNCTION, message);
	return number;
}

uint64_t
pprof_location(struct pprof *pprof, const struct pprof_frame *frame)
{
	bool named = frame->function != NULL && frame->function[0] != '\0', new;
	/* What lies at no address is told apart by its name. */
	uint64_t key[2] = {frame->address, frame->address == 0 && named ? pprof_string(pprof, frame->function) + 1 : 0};
	uint64_t number = index_number(&pprof->locations, key, sizeof(key), &new);

	pprof->failed |= number == 0;
	if (!new)
		return number;
	uint64_t mapping = frame->module != NULL ? pprof_mapping(pprof, frame) : 0;
	uint64_t function = named ? pprof_function(pprof, frame->function, frame->file) : 0;
	struct buffer *message = &pprof->message;
	if (function != 0) {
		buffer_number(&pprof->inner, LINE_FUNCTION_ID, function);
		buffer_number(&pprof->inner, LINE_LINE, (uint64_t) frame->line);
	}
	buffer_number(message, LOCATION_ID, number);
	buffer_number(message, LOCATION_MAPPING_ID, mapping);
	buffer_number(message, LOCATION_ADDRESS, frame->address);
	if (function != 0)
		buffer_close(message, LOCATION_LINE, &pprof->inner);
	buffer_close(&pprof->out, PROFILE_LOCATION, message);
	return number;
}

void
pprof_sample(struct pprof *pprof, const uint64_t *locations, size_t depth, const uint64_t *values,
	     const struct pprof_label *labels, size_t label_count)
{
	struct buffer *message = &pprof->message, *inner = &pprof->inner;

	for (size_t i = 0; i < depth; i++)
		buffer_varint(inner, locations[i]);
	buffer_close(message, SAMPLE_LOCATION_ID, inner);
	for (size_t i = 0; i < pprof->types; i++)
		buffer_varint(inner, values[i]);
	buffer_close(message, SAMPLE_VALUE, inner);
	for (size_t i = 0; i < label_count; i++) {
		if (labels[i].value == NULL)
			continue;
		buffer_number(inner, LABEL_KEY, pprof_string(pprof, labels[i].key));
		buffer_number(inner, LABEL_STR, pprof_string(pprof, labels[i].value));
		buffer_close(message, SAMPLE_LABEL, inner);
	}
	buffer_close(&pprof->out, PROFILE_SAMPLE, message);
}

static void
pprof_put_mappings(struct pprof *pprof)
{
	for (uint64_t i = 0; pprof->mapped != NULL && i < pprof->mappings.count; i++) {
		const struct mapping *mapping = &pprof->mapped[i];
		struct buffer *message = &pprof->message;
		buffer_number(message, MAPPING_ID, i + 1);
		buffer_number(message, MAPPING_START, mapping->start);
		buffer_number(message, MAPPING_LIMIT, mapping->limit);
		buffer_number(message, MAPPING_FILENAME, mapping->name);
		buffer_number(message, MAPPING_BUILD_ID, mapping->build_id);
		buffer_number(message, MAPPING_HAS_FUNCTIONS, mapping->functions);
		buffer_number(message, MAPPING_HAS_FILENAMES, mapping->files);
		buffer_number(message, MAPPING_HAS_LINES, mapping->lines);
		buffer_close(&pprof->out, PROFILE_MAPPING, message);
	}
}

static int
pprof_compress(const struct buffer *plain, void **ret, size_t *ret_size)
{
	z_stream stream = {0};

	if (plain->length > UINT32_MAX / 2)
		return -EFBIG;
	if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	size_t room = deflateBound(&stream, plain->length);
	void *packed = malloc(room);
	int result = Z_MEM_ERROR;
	if (packed != NULL) {
		stream.next_in = (Bytef *) plain->data;
		stream.next_out = packed;
		stream.avail_out = (uInt) room;
		result = Z_OK;
		for (size_t left = plain->length, slice; result == Z_OK; left -= slice) {
			slice = left < GZIP_SLICE ? left : GZIP_SLICE;
			stream.avail_in = (uInt) slice;
			result = deflate(&stream, slice == left ? Z_FINISH : Z_NO_FLUSH);
			pace();
		}
	}
	size_t size = stream.total_out;
	(void) deflateEnd(&stream);
	if (result != Z_STREAM_END) {
		free(packed);
		return packed == NULL ? -ENOMEM : -EIO;
	}
	*ret = packed;
	*ret_size = size;
	return 0;
}

int
pprof_finish(struct pprof *pprof, const char *comment, uint64_t time, void **ret, size_t *ret_size)
{
	pprof_put_mappings(pprof);
	if (comment != NULL)
		buffer_number(&pprof->out, PROFILE_COMMENT, pprof_string(pprof, comment));
	buffer_number(&pprof->out, PROFILE_TIME_NANOS, time);
	if (pprof->failed || pprof->out.failed)
		return -ENOMEM;
	return pprof_compress(&pprof->out, ret, ret_size);
}

void
pprof_free(struct pprof **pprofp)
{
	struct pprof *pprof = *pprofp;

	if (pprof == NULL)
		return;
	*pprofp = NULL;
	index_clear(&pprof->strings);
	index_clear(&pprof->mappings);
	index_clear(&pprof->functions);
	index_clear(&pprof->locations);
	free(pprof->mapped);
	free(pprof->out.data);
	free(pprof->message.data);
	free(pprof->inner.data);
	free(pprof);
}
