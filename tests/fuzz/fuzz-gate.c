/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz-gate.c - any bytes, cut in any way, through the framing gate.
 *
 * What comes out and why it was refused must not depend on the cuts, and what comes out must have one interpretation
 * only: an independent reader that knows nothing but the canonical forms must be able to take it apart to the end.
 */
#include "gate.h"

#include "cleanup.h"

#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECE = 512, ROOM = 16384 };

static const struct gate_limits limits = {.header_size = 300, .header_count = 6, .body_size = 700};

struct outcome {
	char bytes[ROOM];
	size_t length;
	enum gate_reason refusal;
	enum gate_phase phase;
	int64_t content_length;
};

/* A small generator of our own: the cuts must follow from the input alone. */
static size_t
next_random(uint32_t *state, size_t below)
{
	*state = *state * 1664525 + 1013904223;
	return (*state >> 8) % below;
}

static size_t
pass(struct gate *gate, const char *in, size_t length, size_t room, bool in_place, struct outcome *outcome)
{
	char buffer[PIECE];
	char *source = in_place ? buffer : NULL;
	if (in_place && length)
		memcpy(buffer, in, length);
	long n = gate_pass(gate, source ? source : in, length, buffer, room);
	assert(n >= 0 && (size_t) n <= room && outcome->length + (size_t) n <= sizeof(outcome->bytes));
	memcpy(outcome->bytes + outcome->length, buffer, (size_t) n);
	outcome->length += (size_t) n;
	return (size_t) n;
}

/* seed 0: the largest pieces. */
static void
run(const char *data, size_t size, uint32_t seed, struct outcome *outcome)
{
	struct gate *gate = NULL;
	uint32_t state = seed;
	memset(outcome, 0, sizeof(*outcome));
	int r = gate_new(&limits, &gate);
	assert(r == 0);
	for (size_t used = 0; used < size || gate_pending(gate);) {
		size_t room = seed ? 1 + next_random(&state, seed % 2 ? PIECE : 7) : PIECE;
		if (gate_pending(gate) && pass(gate, NULL, 0, room, false, outcome))
			continue;
		size_t most = seed ? 1 + next_random(&state, room) : room;
		size_t wanted = gate_wanted(gate, most);
		size_t n = size - used < wanted ? size - used : wanted;
		if (n == 0)
			break;
		(void) pass(gate, data + used, n, room, seed % 3 != 1, outcome);
		used += n;
	}
	outcome->refusal = gate_refusal(gate);
	outcome->phase = gate_phase(gate);
	outcome->content_length = gate_content_length(gate);
	gate_free(&gate);
	assert(!gate);
}

/* --- the reader ----------------------------------------------------------------------------------------------------
 */

struct reader {
	const char *at, *end;
};

static const char *
find_line_end(const struct reader *reader)
{
	for (const char *p = reader->at; p < reader->end; p++) {
		assert(*p != '\0' && *p != '\n' && *p != 0x0b && *p != 0x0c);
		if (*p != '\r')
			continue;
		if (p + 1 == reader->end)
			return NULL;
		assert(p[1] == '\n');
		return p;
	}
	return NULL;
}

static size_t
hex(const char *start, const char *end)
{
	size_t value = 0;
	assert(start < end && (*start != '0' || end - start == 1));
	for (; start < end; start++) {
		const char *digit = strchr("0123456789abcdef", *start);
		assert(*start && digit);
		value = value * 16 + (size_t) (digit - "0123456789abcdef");
	}
	return value;
}

/* False: cut short. */
static bool
read_chunks(struct reader *reader)
{
	size_t total = 0;
	for (;;) {
		const char *line = find_line_end(reader);
		if (!line)
			return false;
		size_t size = hex(reader->at, line);
		reader->at = line + 2;
		total += size;
		assert(total <= limits.body_size);
		if ((size_t) (reader->end - reader->at) < size + 2)
			return false;
		reader->at += size;
		assert(reader->at[0] == '\r' && reader->at[1] == '\n'); /* after the last chunk: no trailers */
		reader->at += 2;
		if (size == 0)
			return true;
	}
}

static bool
read_message(struct reader *reader)
{
	size_t length = 0;
	unsigned hosts = 0, lengths = 0, codings = 0, lines = 0;
	bool version_1_0 = false;
	for (;; lines++) {
		const char *end = find_line_end(reader);
		if (!end)
			return false;
		const char *line = reader->at;
		size_t n = (size_t) (end - line);
		reader->at = end + 2;
		if (n == 0)
			break;
		if (lines == 0) {
			assert(n > 9 && memcmp(end - 9, " HTTP/1.", 8) == 0 && (end[-1] == '0' || end[-1] == '1'));
			version_1_0 = end[-1] == '0';
			const char *target = memchr(line, ' ', n);
			assert(target && target[1] == '/' && !memchr(target + 1, ' ', (size_t) (end - 9 - target - 1)));
			continue;
		}
		assert(line[0] != ' ' && line[0] != '\t' && memchr(line, ':', n));
		hosts += n > 5 && strncasecmp(line, "host:", 5) == 0;
		if (n > 15 && strncasecmp(line, "content-length:", 15) == 0) {
			lengths++;
			for (const char *p = line + 15; p < end; p++)
				if (*p != ' ' && *p != '\t') {
					assert(*p >= '0' && *p <= '9');
					length = length * 10 + (size_t) (*p - '0');
				}
		}
		codings += n >= 18 && strncasecmp(line, "transfer-encoding:", 18) == 0;
	}
	assert(lines > 0 && hosts <= 1 && (hosts == 1 || version_1_0));
	assert(lengths + codings <= 1 && !(codings && version_1_0) && length <= limits.body_size);
	if (codings)
		return read_chunks(reader);
	if ((size_t) (reader->end - reader->at) < length)
		return false;
	reader->at += length;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, cut;
	if (size > ROOM / 2)
		return 0;
	run((const char *) data, size, 0, &whole);
	for (uint32_t seed = 1; seed <= 6; seed++) {
		run((const char *) data, size, seed, &cut);
		assert(cut.length == whole.length && memcmp(cut.bytes, whole.bytes, whole.length) == 0);
		assert(cut.refusal == whole.refusal && cut.phase == whole.phase);
	}
	struct reader reader = {whole.bytes, whole.bytes + whole.length};
	bool complete = true;
	while (reader.at < reader.end && complete)
		complete = read_message(&reader);
	/* A refused request is always brought to an end; otherwise only the last message may be unfinished. */
	assert(complete ? whole.phase != GATE_BODY : whole.phase == GATE_BODY);
	assert((whole.refusal != GATE_ACCEPTED) == (whole.phase == GATE_REFUSED));
	return 0;
}
