/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* record-read.c - the reader of records: strict, since a file that says something else than was written would be judged
 * all the same. */
#include "record.h"

#include "cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { WORD = 40 /* longest number or keyword */ };

struct walk {
	bool taken;
	uint32_t epoch;
	size_t count;
	struct verdict_site sites[RECORD_SITES];
	char *names[RECORD_SITES]; /* NULL: none */
};

struct record {
	struct signals_history history;
	struct walk newest, earlier;
	struct verdict_input input;
};

/* One line at a time. Once something is wrong, all further reading yields zeros and the first error stays. */
struct reader {
	const char *at, *end; /* what is left of the text */
	const char *rest;     /* what is left of the line */
	const char *line_end;
	unsigned line;
	struct error error;
};

static void PRINTF_LIKE(2, 3) reader_fail(struct reader *reader, const char *format, ...)
{
	char text[200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	(void) error_set(&reader->error, -EINVAL, "line %u: %s", reader->line, text);
}

static bool
reader_failed(const struct reader *reader)
{
	return reader->error.code < 0;
}

/* Goes to the next line; nothing may be left of the one before. */
static void
reader_line(struct reader *reader)
{
	if (reader->rest < reader->line_end)
		reader_fail(reader, "more words than belong there");
	reader->line++;
	const char *end =
		reader->at < reader->end ? memchr(reader->at, '\n', (size_t) (reader->end - reader->at)) : NULL;
	if (end == NULL) {
		reader_fail(reader, "the file ends before its end");
		reader->rest = reader->line_end = reader->at = reader->end;
		return;
	}
	reader->rest = reader->at;
	reader->line_end = end;
	reader->at = end + 1;
}

/* The next word, "" if there is none; blanks are single. */
static void
reader_word(struct reader *reader, char word[static WORD])
{
	size_t length = 0;

	word[0] = '\0';
	if (reader_failed(reader))
		return;
	const char *rest = reader->rest;
	while (rest < reader->line_end && *rest != ' ') {
		if (length + 1 >= WORD || *rest <= ' ' || *rest > '~') {
			reader_fail(reader, "not a word of a record");
			word[0] = '\0';
			return;
		}
		word[length++] = *rest++;
	}
	word[length] = '\0';
	if (length == 0)
		reader_fail(reader, "a word is missing");
	if (rest < reader->line_end && rest + 1 == reader->line_end)
		reader_fail(reader, "a blank at the end");
	reader->rest = rest < reader->line_end ? rest + 1 : rest;
}

static bool
reader_is(struct reader *reader, const char *keyword)
{
	size_t length = strlen(keyword);

	return !reader_failed(reader) && (size_t) (reader->line_end - reader->rest) >= length &&
	       memcmp(reader->rest, keyword, length) == 0 &&
	       (reader->rest + length == reader->line_end || reader->rest[length] == ' ');
}

static void
reader_expect(struct reader *reader, const char *keyword)
{
	char word[WORD];

	reader_word(reader, word);
	if (!reader_failed(reader) && strcmp(word, keyword) != 0)
		reader_fail(reader, "'%s' where '%s' belongs", word, keyword);
}

/* True for the first of the two. */
static bool
reader_either(struct reader *reader, const char *first, const char *second)
{
	char word[WORD];

	reader_word(reader, word);
	if (reader_failed(reader))
		return false;
	if (strcmp(word, first) != 0 && strcmp(word, second) != 0)
		reader_fail(reader, "'%s' is neither '%s' nor '%s'", word, first, second);
	return strcmp(word, first) == 0;
}

/* Digits of the base and nothing else. */
static uint64_t
number_of(struct reader *reader, const char *word, unsigned base, uint64_t most)
{
	uint64_t number = 0;

	for (const char *c = word; *c; c++) {
		unsigned digit = *c >= '0' && *c <= '9'   ? (unsigned) (*c - '0')
				 : *c >= 'a' && *c <= 'f' ? (unsigned) (*c - 'a') + 10
							  : 16;
		if (digit >= base || __builtin_mul_overflow(number, base, &number) ||
		    __builtin_add_overflow(number, digit, &number) || number > most) {
			reader_fail(reader, "'%s' is no number up to %llu", word, (unsigned long long) most);
			return 0;
		}
	}
	return number;
}

static uint64_t
reader_number(struct reader *reader, uint64_t most)
{
	char word[WORD];

	reader_word(reader, word);
	return reader_failed(reader) ? 0 : number_of(reader, word, 10, most);
}

static int64_t
reader_signed(struct reader *reader)
{
	bool negative = reader->rest < reader->line_end && *reader->rest == '-';

	reader->rest += negative;
	uint64_t number = reader_number(reader, INT64_MAX);
	return negative ? -(int64_t) number : (int64_t) number;
}

static double
reader_fraction(struct reader *reader)
{
	char word[WORD], *end;

	reader_word(reader, word);
	if (reader_failed(reader))
		return 0;
	errno = 0;
	double value = strtod(word, &end);
	/* What strtod takes beyond hexadecimal fractions would not be written back as it was read. */
	if (*end || !strchr(word, 'x') || !isfinite(value)) {
		reader_fail(reader, "'%s' is no hexadecimal fraction", word);
		return 0;
	}
	return value;
}

static void
read_exposure(struct reader *reader, struct signals_exposure *exposure)
{
	for (unsigned a = 0; a < SIGNALS_AXES; a++)
		exposure->count[a] = reader_number(reader, UINT64_MAX);
}

static void
read_settings(struct reader *reader, struct verdict_input *input)
{
	reader_line(reader);
	reader_expect(reader, "settings");
	input->settings.min_rate = reader_fraction(reader);
	input->settings.min_growth = reader_number(reader, UINT64_MAX);
	input->settings.warm_up_time = reader_number(reader, UINT64_MAX);
	input->settings.warm_up_requests = reader_number(reader, UINT64_MAX);
	reader_line(reader);
	reader_expect(reader, "plugin");
	input->hard_limit = reader_number(reader, UINT64_MAX);
	input->has_evict = reader_either(reader, "evict", "no-evict");
}

static void
read_probes(struct reader *reader, struct verdict_probes *probes)
{
	reader_line(reader);
	reader_expect(reader, "probes");
	probes->done = (unsigned) reader_number(reader, UINT32_MAX);
	probes->rejected = (unsigned) reader_number(reader, UINT32_MAX);
	probes->running = reader_either(reader, "running", "idle");
	probes->confirmed = reader_either(reader, "confirmed", "open");
	probes->class = (enum verdict_class) reader_number(reader, VERDICT_GROWING_BUFFER);
	probes->residual_first = reader_number(reader, UINT64_MAX);
	probes->residual_second = reader_number(reader, UINT64_MAX);
	probes->interval_requests = reader_number(reader, UINT64_MAX);
	probes->objects_grown = reader_signed(reader);
	probes->survived = reader_number(reader, UINT64_MAX);
	probes->walk_age = reader_number(reader, UINT64_MAX);
	probes->rate = reader_fraction(reader);
	probes->begin_rate = reader_fraction(reader);
	probes->rejected_rate = reader_fraction(reader);
	probes->axis = (enum signals_axis) reader_number(reader, SIGNALS_AXES - 1);
	probes->separable = reader_either(reader, "separable", "not-separable");
	reader_line(reader);
	reader_expect(reader, "intervals");
	read_exposure(reader, &probes->first);
	read_exposure(reader, &probes->second);
}

static void
read_scale(struct reader *reader, struct signals_history *history)
{
	reader_expect(reader, "scale");
	unsigned scale = (unsigned) reader_number(reader, SIGNALS_SCALES - 1);
	uint64_t blocks = reader_number(reader, UINT64_MAX);
	unsigned kept = (unsigned) reader_number(reader, SIGNALS_BLOCKS);
	if (kept == 0 || kept > blocks)
		reader_fail(reader, "a scale keeps blocks, and no more than it had");
	if (history->kept[scale] > 0)
		reader_fail(reader, "scale %u stands there twice", scale);
	if (reader_failed(reader))
		return;
	history->blocks[scale] = blocks;
	history->kept[scale] = kept;
	for (unsigned i = 0; i < kept && !reader_failed(reader); i++) {
		struct signals_block *block = &history->block[scale][i];
		reader_line(reader);
		reader_expect(reader, "block");
		read_exposure(reader, &block->exposure);
		block->floor = reader_number(reader, UINT64_MAX);
		block->foreign = reader_number(reader, UINT64_MAX);
		block->objects = reader_number(reader, UINT64_MAX);
		block->largest = reader_number(reader, UINT64_MAX);
		block->resident = reader_number(reader, UINT64_MAX);
		if (block->foreign > block->floor)
			reader_fail(reader, "the foreign part is larger than the floor");
	}
}

static void
read_moments(struct reader *reader, struct signals_history *history)
{
	reader_expect(reader, "moments");
	struct signals_moments *moments = &history->moments[reader_number(reader, SIGNALS_MOMENT_SCALES - 1)];
	if (moments->count > 0)
		reader_fail(reader, "these moments stand there twice");
	moments->count = reader_number(reader, UINT64_MAX);
	if (moments->count == 0)
		reader_fail(reader, "moments of nothing");
	for (unsigned a = 0; a < SIGNALS_AXES; a++)
		for (unsigned b = a; b < SIGNALS_AXES; b++)
			moments->xx[a][b] = reader_fraction(reader);
	for (unsigned a = 0; a < SIGNALS_AXES; a++)
		moments->xy[a] = reader_fraction(reader);
	moments->yy = reader_fraction(reader);
}

static void
read_history(struct reader *reader, struct signals_history *history)
{
	struct signals_sample *last = &history->last;

	reader_line(reader);
	reader_expect(reader, "began");
	history->began = reader_number(reader, UINT64_MAX);
	read_exposure(reader, &history->before);
	reader_line(reader);
	reader_expect(reader, "last");
	read_exposure(reader, &last->exposure);
	last->live_bytes = reader_number(reader, UINT64_MAX);
	last->live_objects = reader_number(reader, UINT64_MAX);
	last->arena_bytes = reader_number(reader, UINT64_MAX);
	last->foreign_bytes = reader_number(reader, UINT64_MAX);
	last->resident_bytes = reader_number(reader, UINT64_MAX);
	last->largest_bytes = reader_number(reader, UINT64_MAX);
	last->inflight = (uint32_t) reader_number(reader, UINT32_MAX);
	last->open_connections = (uint32_t) reader_number(reader, UINT32_MAX);
	reader_line(reader);
	for (; reader_is(reader, "scale"); reader_line(reader))
		read_scale(reader, history);
	for (; reader_is(reader, "moments"); reader_line(reader))
		read_moments(reader, history);
}

static void
read_site(struct reader *reader, struct walk *walk)
{
	struct verdict_site *site = &walk->sites[walk->count];
	char word[WORD], *colon;

	reader_line(reader);
	reader_expect(reader, "site");
	reader_word(reader, word);
	if (!reader_failed(reader) && (strncmp(word, "0x", 2) != 0 || !word[2]))
		reader_fail(reader, "'%s' is no address", word);
	if (reader_failed(reader))
		return;
	site->site = (uintptr_t) number_of(reader, word + 2, 16, UINTPTR_MAX);
	site->foreign = reader_either(reader, "foreign", "own");
	site->bytes = reader_number(reader, UINT64_MAX);
	site->objects = reader_number(reader, UINT64_MAX);
	while (reader->rest < reader->line_end && *reader->rest != '=' && !reader_failed(reader)) {
		reader_word(reader, word);
		if (reader_failed(reader))
			return;
		colon = strchr(word, ':');
		if (!colon || colon == word || !colon[1]) {
			reader_fail(reader, "'%s' is no column of ages", word);
			return;
		}
		*colon = '\0';
		unsigned column = (unsigned) number_of(reader, word, 10, VERDICT_COHORTS - 1);
		uint64_t bytes = number_of(reader, colon + 1, 10, UINT64_MAX);
		if (site->age_bytes[column] > 0 || bytes == 0)
			reader_fail(reader, "column %u is empty or stands there twice", column);
		site->age_bytes[column] = bytes;
	}
	if (reader_is(reader, "=")) {
		reader_expect(reader, "=");
		size_t length = (size_t) (reader->line_end - reader->rest);
		if (length == 0 || length >= RECORD_NAME || memchr(reader->rest, '\0', length)) {
			reader_fail(reader, "a name has 1 to %d bytes", RECORD_NAME - 1);
			return;
		}
		char *name = strndup(reader->rest, length);
		reader->rest = reader->line_end;
		if (name == NULL) {
			(void) error_set(&reader->error, -ENOMEM, "no memory");
			return;
		}
		error_clean(name);
		walk->names[walk->count] = name;
	}
	walk->count++;
}

static void
read_walk(struct reader *reader, struct record *record)
{
	reader_expect(reader, "walk");
	struct walk *walk = reader_either(reader, "newest", "earlier") ? &record->newest : &record->earlier;
	if (walk->taken)
		reader_fail(reader, "this walk stands there twice");
	walk->epoch = (uint32_t) reader_number(reader, UINT32_MAX);
	size_t count = (size_t) reader_number(reader, RECORD_SITES);
	walk->taken = true;
	while (walk->count < count && !reader_failed(reader))
		read_site(reader, walk);
}

int
record_read(const char *text, size_t length, struct record **ret, struct error *e)
{
	struct reader reader = {.at = text, .end = text + length, .rest = text, .line_end = text};
	CLEANUP(record_free) struct record *record = calloc(1, sizeof(*record));

	if (record == NULL)
		return error_set(e, -ENOMEM, "no memory");
	reader_line(&reader);
	reader_expect(&reader, "mtlsd-record");
	reader_expect(&reader, "1");
	read_settings(&reader, &record->input);
	read_probes(&reader, &record->input.probes);
	read_history(&reader, &record->history);
	for (; reader_is(&reader, "walk"); reader_line(&reader))
		read_walk(&reader, record);
	reader_expect(&reader, "end");
	if (!reader_failed(&reader) && (reader.rest < reader.line_end || reader.at < reader.end))
		reader_fail(&reader, "something after the end");
	if (reader_failed(&reader))
		return error_set(e, reader.error.code, "%s", reader.error.text);
	struct verdict_input *input = &record->input;
	input->history = &record->history;
	if (record->newest.taken) {
		input->sites = record->newest.sites;
		input->site_count = record->newest.count;
		input->epoch = record->newest.epoch;
	}
	if (record->earlier.taken) {
		input->earlier = record->earlier.sites;
		input->earlier_count = record->earlier.count;
		input->earlier_epoch = record->earlier.epoch;
	}
	*ret = STEAL(record);
	return 0;
}

const struct verdict_input *
record_input(const struct record *record)
{
	return &record->input;
}

const char *
record_site_name(const struct record *record, uintptr_t site, bool foreign)
{
	for (size_t i = 0; i < record->newest.count; i++)
		if (record->newest.sites[i].site == site && record->newest.sites[i].foreign == foreign)
			return record->newest.names[i];
	return NULL;
}

void
record_free(struct record **record)
{
	if (*record == NULL)
		return;
	for (size_t i = 0; i < RECORD_SITES; i++) {
		free((*record)->newest.names[i]);
		free((*record)->earlier.names[i]);
	}
	free(*record);
	*record = NULL;
}
