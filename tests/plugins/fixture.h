/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* fixture.h - the few things most fixture plugins do alike: answer a line, wait for a gate, leave a trace.
 *
 * A gate is a file: closed while it does not exist. Tests open it by creating it; that works across instances, where a
 * request could only reach the newest. A trace is a file too, appended to line by line: it outlives the instance, so a
 * test can read what the last callbacks did.
 *
 * Threads: any. Owns: nothing.
 */
#include <mtlsd/plugin.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FIXTURE_UNUSED __attribute__((unused))

/* The whole answer as text; FAIL if even that cannot be had. */
static inline mtlsd_action
fixture_answer(const mtlsd_host *host, mtlsd_request *request, int status, const char *text)
{
	return host->respond(request, status, text, strlen(text)) < 0 ? MTLSD_FAIL : MTLSD_DONE;
}

static inline int
fixture_ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* True once the gate stands open; no path: always open. */
static inline int
fixture_open(const char *gate)
{
	return !gate || access(gate, F_OK) == 0;
}

/* How long to rest between two looks at a gate. */
static inline void
fixture_rest(void)
{
	struct timespec five = {.tv_nsec = 5000000};

	nanosleep(&five, NULL);
}

/* Appends one line; one write, so lines of several threads do not mix. */
static inline void
fixture_trace(const char *path, const char *word, unsigned long long number)
{
	char line[128];
	int fd, length;

	if (!path)
		return;
	length = snprintf(line, sizeof(line), "%s %llu\n", word, number);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (write(fd, line, (size_t) length) != length)
		(void) unlink(path); /* a trace with holes would mislead */
	close(fd);
}
