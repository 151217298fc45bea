/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gate.h"

#include "cleanup.h"
#include "gate-chunk.h"
#include "gate-head.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What the parser gets in place of a bad head. Nobody but the access handler sees it. */
static const char synthetic_head[] = "GET / HTTP/1.1\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n";

enum state {
	HEAD,       /* lines are being judged, nothing passed yet */
	HEAD_OUT,   /* judged, on its way out */
	LENGTH,     /* left bytes of the body */
	CHUNK_SIZE, /* a line with the size of the next chunk */
	CHUNK_DATA, /* left bytes of the chunk */
	CHUNK_CR,
	CHUNK_LF,
	TRAILER,
	STAGED_END, /* the staged bytes end the message */
	REFUSED,
	STATE_COUNT
};

struct gate {
	struct gate_limits limits;
	struct gate_head head;
	enum state state;
	enum gate_reason refusal;
	/* Lines (head, chunk size, trailers): offsets from the first byte not consumed. */
	size_t scanned, line;
	size_t lines; /* complete ones of this head */
	bool after_cr, skipped_empty_line;
	bool abandoned;
	uint64_t left;                /* bytes of body or chunk that still pass */
	struct gate_request *request; /* NULL: none, or taken */
	struct gate_chunks chunks;
	size_t trailers;        /* bytes of trailers so far */
	char staged[GATE_HEAD_SMALL]; /* canonical framing on its way out */
	size_t staged_length, staged_sent;
	/* Bytes that came and could not pass yet. */
	char *pending;
	size_t pending_length, pending_size;
};

/* One call's input and output. */
struct flow {
	struct gate *gate;
	const char *data;
	size_t length, used;
	char *out;
	size_t out_size, out_length;
	int error;
};

int
gate_new(const struct gate_limits *limits, struct gate **ret)
{
	struct gate *gate = calloc(1, sizeof(*gate));
	if (!gate)
		return -ENOMEM;
	gate->limits = *limits;
	*ret = gate;
	return 0;
}

void
gate_free(struct gate **gate)
{
	if (!*gate)
		return;
	gate_request_free(&(*gate)->request);
	free((*gate)->pending);
	free(*gate);
	*gate = NULL;
}

static void
gate_stage(struct gate *gate, const char *text, size_t length)
{
	assert(gate->staged_sent == gate->staged_length && length <= sizeof(gate->staged));
	memcpy(gate->staged, text, length);
	gate->staged_length = length;
	gate->staged_sent = 0;
}

static void
gate_start_lines(struct gate *gate)
{
	gate->scanned = gate->line = gate->lines = 0;
	gate->after_cr = false;
}

static void
gate_append(struct gate *gate, const char *text)
{
	size_t length = strlen(text);
	assert(gate->staged_length + length <= sizeof(gate->staged));
	memcpy(gate->staged + gate->staged_length, text, length);
	gate->staged_length += length;
}

/* Ends what the parser has in hand so that it is well formed; the access handler answers with the refusal. */
static void
gate_refuse(struct gate *gate, enum gate_reason reason)
{
	const char *end = gate->state == HEAD                                  ? synthetic_head
			  : gate->state == CHUNK_CR || gate->state == CHUNK_LF ? "\r\n0\r\n\r\n"
									       : "0\r\n\r\n";
	gate->refusal = reason;
	if (gate->state == HEAD)
		gate_request_free(&gate->request);
	gate->state = REFUSED;
	gate_stage(gate, end, strlen(end));
}

static void
gate_next_message(struct gate *gate)
{
	gate->state = HEAD;
	gate->skipped_empty_line = false;
	gate_start_lines(gate);
}

/* --- lines ----------------------------------------------------------------------------------------------------- */

enum line_result { LINE_MORE, LINE_WHOLE, LINE_REFUSED };

static enum gate_reason
judge_byte(const struct gate *gate, unsigned char c)
{
	if (gate->after_cr)
		return c == '\n' ? GATE_ACCEPTED : GATE_BARE_CR;
	if (c == '\n')
		return GATE_BARE_LF;
	if (c == '\0')
		return GATE_NUL;
	if ((c < 0x20 && c != '\r' && c != '\t') || c == 0x7f)
		return GATE_CONTROL;
	return GATE_ACCEPTED;
}

/* Scans to the end of the current line; limit: of bytes since the first not consumed. */
static enum line_result
scan_line(struct flow *flow, size_t limit, enum gate_reason too_long, size_t *ret_length)
{
	struct gate *gate = flow->gate;
	while (flow->used + gate->scanned < flow->length) {
		unsigned char c = (unsigned char) flow->data[flow->used + gate->scanned];
		enum gate_reason reason = gate->scanned >= limit ? too_long : judge_byte(gate, c);
		if (reason) {
			gate_refuse(gate, reason);
			return LINE_REFUSED;
		}
		gate->scanned++;
		if (gate->after_cr) {
			gate->after_cr = false;
			*ret_length = gate->scanned - 2 - gate->line;
			return LINE_WHOLE;
		}
		gate->after_cr = c == '\r';
	}
	return LINE_MORE;
}

/* --- one function a state: true to go on, false to end the call --------------------------------------------------- */

static bool
head_whole(struct flow *flow)
{
	struct gate *gate = flow->gate;
	enum gate_reason reason = gate_head_end(&gate->head, gate->limits.body_size);
	if (reason) {
		gate_refuse(gate, reason);
		return true;
	}
	gate_request_free(&gate->request);
	flow->error = gate_request_new(flow->data + flow->used, gate->scanned, gate->head.fields, &gate->request);
	if (flow->error)
		return false;
	flow->used += gate->scanned;
	gate_start_lines(gate);
	gate->staged_sent = 0;
	gate->staged_length = gate_head_write(&gate->head, gate->request->method, gate->request->version, gate->staged);
	if (gate->head.has_coding)
		gate->head.content_length = -1;
	gate->state = HEAD_OUT;
	return true;
}

static bool
state_head(struct flow *flow)
{
	struct gate *gate = flow->gate;
	size_t length;
	if (gate->lines == 0 && gate->scanned == 0)
		gate->head = (struct gate_head){0};
	switch (scan_line(flow, gate->limits.header_size, gate->lines ? GATE_HEAD_LARGE : GATE_TARGET_LONG, &length)) {
	case LINE_MORE:
		return false;
	case LINE_REFUSED:
		return true;
	case LINE_WHOLE:
		break;
	}
	const char *line = flow->data + flow->used + gate->line;
	enum gate_reason reason;
	if (gate->lines == 0 && length == 0) {
		reason = gate->skipped_empty_line ? GATE_EMPTY_LINES : GATE_ACCEPTED;
		gate->skipped_empty_line = true;
		if (!reason) {
			flow->used += 2;
			gate_start_lines(gate);
			return true;
		}
	} else if (length == 0) {
		return head_whole(flow);
	} else if (gate->lines == 0) {
		reason = gate_head_request_line(&gate->head, line, length);
	} else {
		reason = gate_head_field(&gate->head, line, length);
		if (!reason && gate->head.fields > gate->limits.header_count)
			reason = GATE_FIELD_COUNT;
	}
	if (reason) {
		gate_refuse(gate, reason);
		return true;
	}
	gate->lines++;
	gate->line = gate->scanned;
	return true;
}

/* Copies what is left of body or chunk; true once all of it has passed. */
static bool
pass_left(struct flow *flow)
{
	struct gate *gate = flow->gate;
	size_t n = flow->length - flow->used;
	if (n > gate->left)
		n = (size_t) gate->left;
	if (n > flow->out_size - flow->out_length)
		n = flow->out_size - flow->out_length;
	if (flow->out + flow->out_length != flow->data + flow->used)
		memmove(flow->out + flow->out_length, flow->data + flow->used, n);
	flow->used += n;
	flow->out_length += n;
	gate->left -= n;
	return gate->left == 0;
}

static bool
state_head_out(struct flow *flow)
{
	struct gate *gate = flow->gate;
	if (gate->head.content_length == 0) {
		gate_next_message(gate);
		return false;
	}
	if (gate->head.content_length > 0) {
		gate->left = (uint64_t) gate->head.content_length;
		gate->state = LENGTH;
		return true;
	}
	gate->chunks = (struct gate_chunks){0};
	gate->trailers = 0;
	gate->state = CHUNK_SIZE;
	gate_start_lines(gate);
	return true;
}

/* Fills what an abandoned body or chunk still owes the parser. */
static bool
pass_filler(struct flow *flow)
{
	struct gate *gate = flow->gate;
	size_t n = flow->out_size - flow->out_length;
	if (n > gate->left)
		n = (size_t) gate->left;
	memset(flow->out + flow->out_length, 0, n);
	flow->out_length += n;
	gate->left -= n;
	return gate->left == 0;
}

static bool
state_length(struct flow *flow)
{
	if (flow->gate->abandoned) {
		if (pass_filler(flow))
			flow->gate->state = REFUSED;
	} else if (pass_left(flow)) {
		gate_next_message(flow->gate);
	}
	return false;
}

static bool
state_chunk_size(struct flow *flow)
{
	struct gate *gate = flow->gate;
	size_t length;
	uint64_t size = 0;
	switch (scan_line(flow, GATE_CHUNK_LINE, GATE_CHUNK_EXTENSION, &length)) {
	case LINE_MORE:
		return false;
	case LINE_REFUSED:
		return true;
	case LINE_WHOLE:
		break;
	}
	enum gate_reason reason =
		gate_chunk_line(&gate->chunks, flow->data + flow->used, length, gate->limits.body_size, &size);
	flow->used += gate->scanned;
	gate_start_lines(gate);
	if (reason) {
		gate_refuse(gate, reason);
		return true;
	}
	if (size == 0) {
		gate->state = TRAILER; /* the last chunk passes when the trailers were seen */
		return true;
	}
	char text[24];
	int n = snprintf(text, sizeof(text), "%llx\r\n", (unsigned long long) size);
	gate_stage(gate, text, (size_t) n);
	gate->left = size;
	gate->state = CHUNK_DATA;
	return true;
}

static bool
state_chunk_data(struct flow *flow)
{
	if (flow->gate->abandoned) {
		if (!pass_filler(flow))
			return false;
		gate_stage(flow->gate, "\r\n0\r\n\r\n", 7);
		flow->gate->state = REFUSED;
		return true;
	}
	if (!pass_left(flow))
		return false;
	flow->gate->state = CHUNK_CR;
	return true;
}

static bool
state_chunk_cr(struct flow *flow)
{
	struct gate *gate = flow->gate;
	if (flow->used == flow->length)
		return false;
	if (flow->data[flow->used] != '\r') {
		gate_refuse(gate, GATE_CHUNK_END);
		return true;
	}
	flow->used++;
	gate->state = CHUNK_LF;
	return true;
}

static bool
state_chunk_lf(struct flow *flow)
{
	struct gate *gate = flow->gate;
	if (flow->used == flow->length)
		return false;
	if (flow->data[flow->used] != '\n') {
		gate_refuse(gate, GATE_CHUNK_END);
		return true;
	}
	flow->used++;
	gate_stage(gate, "\r\n", 2);
	gate->state = CHUNK_SIZE;
	return true;
}

static bool
state_trailer(struct flow *flow)
{
	struct gate *gate = flow->gate;
	size_t length;
	switch (scan_line(flow, gate->limits.header_size - gate->trailers, GATE_HEAD_LARGE, &length)) {
	case LINE_MORE:
		return false;
	case LINE_REFUSED:
		return true;
	case LINE_WHOLE:
		break;
	}
	if (length) {
		enum gate_reason reason = gate_head_trailer(flow->data + flow->used, length);
		if (!reason && ++gate->head.fields > gate->limits.header_count)
			reason = GATE_FIELD_COUNT;
		if (reason) {
			gate_refuse(gate, reason);
			return true;
		}
	}
	flow->used += gate->scanned;
	gate->trailers += gate->scanned;
	gate_start_lines(gate);
	if (length == 0) {
		gate_stage(gate, "0\r\n\r\n", 5);
		gate->state = STAGED_END;
	}
	return true;
}

static bool
state_staged_end(struct flow *flow)
{
	gate_next_message(flow->gate);
	return false;
}

static bool
state_refused(struct flow *flow)
{
	flow->used = flow->length;
	return false;
}

static bool (*const states[STATE_COUNT])(struct flow *flow) = {
	[HEAD] = state_head,
	[HEAD_OUT] = state_head_out,
	[LENGTH] = state_length,
	[CHUNK_SIZE] = state_chunk_size,
	[CHUNK_DATA] = state_chunk_data,
	[CHUNK_CR] = state_chunk_cr,
	[CHUNK_LF] = state_chunk_lf,
	[TRAILER] = state_trailer,
	[STAGED_END] = state_staged_end,
	[REFUSED] = state_refused,
};

/* --- the call ---------------------------------------------------------------------------------------------------- */

static bool
pass_staged(struct flow *flow)
{
	struct gate *gate = flow->gate;
	size_t n = gate->staged_length - gate->staged_sent;
	if (n > flow->out_size - flow->out_length)
		n = flow->out_size - flow->out_length;
	memcpy(flow->out + flow->out_length, gate->staged + gate->staged_sent, n);
	gate->staged_sent += n;
	flow->out_length += n;
	return gate->staged_sent == gate->staged_length;
}

static int
gate_reserve(struct gate *gate, size_t size)
{
	if (size <= gate->pending_size)
		return 0;
	/* Rounded up so that a head that trickles in does not move at every byte. */
	size_t rounded = (size + 1023) / 1024 * 1024;
	char *grown = realloc(gate->pending, rounded);
	if (!grown)
		return -ENOMEM;
	gate->pending = grown;
	gate->pending_size = rounded;
	return 0;
}

/* Keeps what was not used for the next call. */
static int
gate_keep(struct gate *gate, const struct flow *flow)
{
	size_t rest = flow->length - flow->used;
	if (rest == 0) {
		free(gate->pending);
		gate->pending = NULL;
		gate->pending_length = gate->pending_size = 0;
		return 0;
	}
	int r = gate_reserve(gate, rest);
	if (r < 0)
		return r;
	memmove(gate->pending, flow->data + flow->used, rest);
	gate->pending_length = rest;
	return 0;
}

/* Within one call no more comes out than went in, except where an earlier call took the bytes that are answered for
 * now: then writing in place would run over input that is still to be read. */
static bool
needs_own_input(const struct gate *gate)
{
	return gate->pending_length || gate->state == CHUNK_LF || gate->state == TRAILER;
}

long
gate_pass(struct gate *gate, const char *in, size_t length, char *out, size_t size)
{
	struct flow flow = {.gate = gate, .data = in, .length = length, .out = out, .out_size = size};
	if (needs_own_input(gate)) {
		int r = gate_reserve(gate, gate->pending_length + length);
		if (r < 0)
			return r;
		if (length)
			memcpy(gate->pending + gate->pending_length, in, length);
		gate->pending_length += length;
		flow.data = gate->pending;
		flow.length = gate->pending_length;
	}
	while (pass_staged(&flow) && states[gate->state](&flow))
		;
	int r = flow.error ? flow.error : gate_keep(gate, &flow);
	return r < 0 ? r : (long) flow.out_length;
}

size_t
gate_wanted(const struct gate *gate, size_t size)
{
	return gate->state == LENGTH && gate->left < size ? (size_t) gate->left : size;
}

void
gate_abandon(struct gate *gate)
{
	gate->abandoned = true;
	switch (gate->state) {
	case LENGTH:
	case CHUNK_DATA:
		break; /* filled up */
	case CHUNK_SIZE:
	case TRAILER:
	case CHUNK_CR:
	case CHUNK_LF:
		/* What is staged is the size of a chunk only in CHUNK_DATA; here at most its CRLF waits to go out. */
		gate->staged_length -= gate->staged_sent;
		memmove(gate->staged, gate->staged + gate->staged_sent, gate->staged_length);
		gate->staged_sent = 0;
		gate_append(gate, gate->state == CHUNK_CR || gate->state == CHUNK_LF ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
		gate->state = REFUSED;
		break;
	case HEAD:
	case HEAD_OUT:
	case STAGED_END:
	case REFUSED:
	case STATE_COUNT:
		gate->abandoned = false; /* no body, or its end is on its way */
		break;
	}
}

bool
gate_pending(const struct gate *gate)
{
	if (gate->staged_sent < gate->staged_length)
		return true;
	if (gate->abandoned && (gate->state == LENGTH || gate->state == CHUNK_DATA))
		return true;
	switch (gate->state) {
	case HEAD:
	case CHUNK_SIZE:
	case TRAILER:
		return gate->pending_length > gate->scanned;
	case REFUSED:
		return false;
	default:
		return gate->pending_length > 0;
	}
}

enum gate_phase
gate_phase(const struct gate *gate)
{
	if (gate->state == REFUSED)
		return GATE_REFUSED;
	if (gate->state == HEAD)
		return gate->pending_length || gate->skipped_empty_line ? GATE_HEAD : GATE_IDLE;
	return GATE_BODY;
}

enum gate_reason
gate_refusal(const struct gate *gate)
{
	return gate->refusal;
}

struct gate_request *
gate_take_request(struct gate *gate)
{
	return STEAL(gate->request);
}

int64_t
gate_content_length(const struct gate *gate)
{
	return gate->head.content_length;
}
