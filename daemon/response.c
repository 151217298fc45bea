/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "response.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The head of an answer must fit the transport's memory for one, beside the request's. */
enum { HEADERS_MAX = 64, HEAD_MAX = 3584 };

/* RFC 9110, 5.6.2: the characters of a token. */
static bool
is_token(const char *text)
{
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		char c = *text;
		bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!alnum && strchr("!#$%&'*+-.^_`|~", c) == NULL)
			return false;
	}
	return true;
}

/* RFC 9110, 5.5: visible bytes, spaces and tabs; nothing that could end the line. */
static bool
is_value(const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char) *text;
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool
is_framing(const char *name)
{
	static const char *const framing[] = {"Content-Length",  "Transfer-Encoding", "Connection", "Keep-Alive",
					      "Upgrade",         "Trailer",           "Date",       "TE",
					      "Proxy-Connection"};
	for (size_t i = 0; i < ARRAY_LENGTH(framing); i++) {
		if (strcasecmp(name, framing[i]) == 0)
			return true;
	}
	return false;
}

int
response_add_header(struct response *response, const char *name, const char *value, struct error *error)
{
	if (name == NULL || !is_token(name))
		return error_set(error, -EINVAL, "a header's name must be a token");
	if (value == NULL || !is_value(value))
		return error_set(error, -EINVAL, "the value of header %s holds control characters", name);
	if (is_framing(name))
		return error_set(error, -EINVAL, "header %s belongs to the transport", name);
	if (response->header_count == HEADERS_MAX)
		return error_set(error, -E2BIG, "an answer has at most %d headers", HEADERS_MAX);
	size_t name_size = strlen(name) + 1, value_size = strlen(value) + 1;
	if (response->head_size + name_size + value_size + 2 > HEAD_MAX)
		return error_set(error, -E2BIG, "the headers of an answer have at most %d bytes", HEAD_MAX);
	if (response->header_count == response->header_capacity) {
		size_t capacity = response->header_capacity == 0 ? 4 : response->header_capacity * 2;
		void *grown = reallocarray(response->headers, capacity, sizeof(*response->headers));
		if (grown == NULL)
			return error_set(error, -ENOMEM, "out of memory");
		response->headers = grown;
		response->header_capacity = capacity;
	}
	/* Name and value share one block. */
	char *block = malloc(name_size + value_size);
	if (block == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	memcpy(block, name, name_size);
	memcpy(block + name_size, value, value_size);
	response->headers[response->header_count++] = (struct response_header){block, block + name_size};
	response->head_size += name_size + value_size + 2; /* ": " and CRLF instead of two NULs */
	return 0;
}

int
response_set(struct response *response, int status, const void *body, size_t length)
{
	if (status < 200 || status > 599 || (body == NULL && length > 0))
		return -EINVAL;
	void *copy = NULL;
	if (length > 0) {
		copy = malloc(length);
		if (copy == NULL)
			return -ENOMEM;
		memcpy(copy, body, length);
	}
	free(response->body);
	response->body = copy;
	response->length = length;
	response->status = status;
	response->streamed = false;
	return 0;
}

int
response_set_page(struct response *response, int status, const char *line)
{
	char page[512];
	int length = snprintf(page, sizeof(page), "%d %s: %s\n", status, response_reason(status), line);
	if (length >= (int) sizeof(page))
		length = sizeof(page) - 1;
	bool close = response->close;
	response_clear(response);
	response->close = close;
	int r = response_add_header(response, "Content-Type", "text/plain; charset=utf-8", NULL);
	if (r == 0)
		r = response_set(response, status, page, (size_t) length);
	if (r < 0) /* without memory the bare status still goes out */
		response->status = status;
	return r;
}

void
response_clear(struct response *response)
{
	for (size_t i = 0; i < response->header_count; i++)
		free(response->headers[i].name);
	free(response->headers);
	free(response->body);
	memset(response, 0, sizeof(*response));
}

const char *
response_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{417, "Expectation Failed"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return status < 300 ? "OK" : status < 400 ? "See Headers" : status < 500 ? "Client Error" : "Server Error";
}
