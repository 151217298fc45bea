/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gate-request.h"

#include "cleanup.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* Ends the line at `at` and returns where the next begins. */
static char *
line_end(char *at)
{
	char *end = strchr(at, '\r');
	*end = '\0';
	return end + 2;
}

static void
field_split(char *line, struct request_header *ret)
{
	char *colon = strchr(line, ':'), *value = colon + 1;
	*colon = '\0';
	while (*value == ' ' || *value == '\t')
		value++;
	char *end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	*ret = (struct request_header){.name = line, .value = value};
}

int
gate_request_new(const char *head, size_t length, size_t header_count, struct gate_request **ret)
{
	size_t table = sizeof(struct gate_request) + header_count * sizeof(struct request_header);
	struct gate_request *request = malloc(table + length + 1);
	if (!request)
		return -ENOMEM;
	char *text = (char *) request + table;
	memcpy(text, head, length);
	text[length] = '\0';
	char *next = line_end(text);
	char *target = strchr(text, ' '), *version = strchr(target + 1, ' ');
	*target = *version = '\0';
	*request = (struct gate_request){
		.method = text, .target = target + 1, .version = version + 1, .header_count = header_count};
	for (size_t i = 0; i < header_count; i++) {
		char *line = next;
		next = line_end(line);
		field_split(line, &request->headers[i]);
		if (strcasecmp(request->headers[i].name, "host") == 0)
			request->host = request->headers[i].value;
	}
	*ret = request;
	return 0;
}

void
gate_request_free(struct gate_request **request)
{
	free(*request);
	*request = NULL;
}
