/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gate-reason.h"

#include "cleanup.h"

/* Where the RFCs let a recipient be lenient, this one is not: each leniency is one that some other recipient in front
 * of or behind us reads differently, and the difference is the attack (RFC 9112, 11.2). */
static const struct {
	int status;
	const char *name, *text;
} reasons[GATE_REASON_COUNT] = {
	[GATE_ACCEPTED] = {200, "accepted", "accepted"},
	/* RFC 9112, 2.2: a recipient MAY take a lone LF for a line end; we do not. */
	[GATE_BARE_LF] = {400, "bare-lf", "a line of the request ends in LF without CR"},
	/* RFC 9112, 2.2: a bare CR must be taken as invalid or replaced by SP. */
	[GATE_BARE_CR] = {400, "bare-cr", "a CR in the request is not followed by LF"},
	/* RFC 9110, 5.5: CR, LF and NUL in values are dangerous; other controls are invalid. */
	[GATE_NUL] = {400, "nul", "the head of the request holds a NUL byte"},
	[GATE_CONTROL] = {400, "control", "the head of the request holds a control byte"},
	/* RFC 9112, 2.2: at least one empty line before the request line SHOULD be ignored; we ignore exactly one. */
	[GATE_EMPTY_LINES] = {400, "empty-lines", "more than one empty line before the request line"},
	/* RFC 9112, 3: method SP request-target SP HTTP-version, single spaces. */
	[GATE_REQUEST_LINE] = {400, "request-line", "the request line is not method, target and version"},
	/* RFC 9110, 9.1 and 5.6.2: a method is a token. */
	[GATE_METHOD] = {400, "method", "the method is not a token"},
	/* RFC 9110, 9.3.6 and 9.3.8: we neither tunnel nor loop messages back. */
	[GATE_METHOD_REFUSED] = {501, "method-refused", "CONNECT and TRACE are not implemented"},
	/* RFC 9112, 3.2: origin-form only; absolute-form would give the request a second host. */
	[GATE_TARGET_FORM] = {400, "target-form", "the request target does not start with a slash"},
	/* RFC 3986, 3.3 and 3.4. */
	[GATE_TARGET_CHARACTER] = {400, "target-character",
				   "the request target holds a byte that must be percent-encoded"},
	/* RFC 3986, 2.1. */
	[GATE_TARGET_PERCENT] = {400, "target-percent", "a percent sign without two hexadecimal digits"},
	/* RFC 3986, 7.3: an encoded delimiter or NUL changes its meaning with whoever decodes it. */
	[GATE_TARGET_ENCODED] = {400, "target-encoded", "an encoded slash, backslash or control byte in the path"},
	/* RFC 3629, 3: overlong forms decode to delimiters in lenient decoders. */
	[GATE_TARGET_UTF8] = {400, "target-utf8", "the decoded path is not UTF-8"},
	/* RFC 3986, 3.3 allows empty segments; file systems and routers merge them. */
	[GATE_TARGET_EMPTY_SEGMENT] = {400, "target-empty-segment", "an empty segment in the path"},
	/* RFC 3986, 5.2.4 and 6.2.2.3: a client has removed them. */
	[GATE_TARGET_DOT_SEGMENT] = {400, "target-dot-segment", "a dot segment in the path"},
	/* RFC 9110, 15.5.15. */
	[GATE_TARGET_LONG] = {414, "target-long", "the request line is longer than the limit"},
	/* RFC 9112, 2.3. */
	[GATE_VERSION_SYNTAX] = {400, "version-syntax", "the protocol version is malformed"},
	/* RFC 9110, 15.6.6 has 505 for it; but what another version's head means is not ours to say: a bad one. */
	[GATE_VERSION] = {400, "version", "only HTTP/1.1 and HTTP/1.0 are spoken here"},
	/* RFC 9112, 5.2: a server MUST reject or replace obs-fold. */
	[GATE_FIELD_FOLDED] = {400, "field-folded", "a folded header line"},
	/* RFC 9110, 5.1 and 5.6.2. */
	[GATE_FIELD_NAME] = {400, "field-name", "a header name is not a token"},
	/* RFC 9112, 5.1: MUST reject. */
	[GATE_FIELD_SPACE_BEFORE_COLON] = {400, "field-space", "whitespace before the colon of a header"},
	/* RFC 6585, 5. */
	[GATE_FIELD_COUNT] = {431, "field-count", "more header fields than the limit"},
	[GATE_HEAD_LARGE] = {431, "head-large", "the head of the request is larger than the limit"},
	/* RFC 9112, 3.2: missing in HTTP/1.1, repeated or invalid: MUST be 400. */
	[GATE_HOST_MISSING] = {400, "host-missing", "no Host header"},
	[GATE_HOST_REPEATED] = {400, "host-repeated", "more than one Host header"},
	[GATE_HOST_SYNTAX] = {400, "host-syntax", "the Host header is not a host with an optional port"},
	/* RFC 9112, 6.3: differing values are unrecoverable; equal ones MAY be merged, and are not. */
	[GATE_LENGTH_REPEATED] = {400, "length-repeated", "more than one Content-Length header"},
	/* RFC 9110, 8.6: decimal digits; lists, signs, leading zeros and overflow are refused. */
	[GATE_LENGTH_SYNTAX] = {400, "length-syntax", "the Content-Length header is not a number"},
	/* RFC 9112, 6.1 and 6.3: ought to be handled as an error. */
	[GATE_LENGTH_WITH_CODING] = {400, "length-with-coding", "both Content-Length and Transfer-Encoding"},
	/* RFC 9112, 6.1 and 7: chunked is the only coding taken, alone and spelt so. */
	[GATE_CODING] = {400, "coding", "a Transfer-Encoding other than chunked"},
	[GATE_CODING_REPEATED] = {400, "coding-repeated", "more than one Transfer-Encoding header"},
	/* RFC 9112, 6.1: MUST treat the message as if the framing is faulty. */
	[GATE_CODING_IN_1_0] = {400, "coding-in-1.0", "Transfer-Encoding in an HTTP/1.0 request"},
	/* RFC 9110, 10.1.1. */
	[GATE_EXPECT] = {417, "expect", "an expectation other than 100-continue"},
	/* RFC 9110, 7.8: we switch to no other protocol; ignoring the wish is what h2c smuggling lives from. */
	[GATE_UPGRADE] = {400, "upgrade", "protocol upgrades are not offered here"},
	/* RFC 9110, 15.5.14. */
	[GATE_BODY_LARGE] = {413, "body-large", "the body is larger than the limit"},
	/* RFC 9112, 7.1: hexadecimal digits only, no sign, prefix or space. */
	[GATE_CHUNK_SIZE] = {400, "chunk-size", "a malformed chunk size"},
	/* RFC 9112, 7.1.1: ignored, but their total ought to be limited. */
	[GATE_CHUNK_EXTENSION] = {400, "chunk-extension", "chunk extensions are malformed or too long"},
	[GATE_CHUNK_END] = {400, "chunk-end", "a chunk does not end in CRLF"},
	/* RFC 9110, 6.5.1: fields that decide framing or routing MUST NOT be trailers. */
	[GATE_TRAILER_FRAMING] = {400, "trailer-framing", "a trailer that would change framing or routing"},
};

int
gate_reason_status(enum gate_reason reason)
{
	return reasons[reason].status;
}

const char *
gate_reason_name(enum gate_reason reason)
{
	return reasons[reason].name;
}

const char *
gate_reason_text(enum gate_reason reason)
{
	return reasons[reason].text;
}
