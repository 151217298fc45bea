/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libmicrohttpd sends: the head of an answer waits for its body, and both leave in one record and one write.
 *
 * libmicrohttpd sends a head, then at once the body it has whole. The body follows within the same call of its, so that
 * the bytes wait in a buffer of the thread. It never learns of the fields of an answer either: they are put in here,
 * which spares the connection's pool the room for them.
 */
#include "edge.h"

#include "response.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

enum { ROOM = 16384 }; /* a record; the largest head is smaller (response.h) */

typedef ssize_t send_call(gnutls_session_t session, const void *data, size_t size);

static send_call *_Atomic next_send;

static _Thread_local char buffer[ROOM];

/* What did not leave at once. The record GnuTLS was busy with is its own; the rest is here. */
struct edge_unsent {
	size_t at, length;
	size_t theirs; /* how much of what libmicrohttpd gives again and again is in here */
	char bytes[];
};

static ssize_t
call_send(gnutls_session_t session, const void *data, size_t size)
{
	if (!next_send) {
		next_send = (send_call *) dlsym(RTLD_NEXT, "gnutls_record_send");
		if (!next_send)
			abort(); /* linked against a GnuTLS without it: cannot have started */
	}
	/* GnuTLS says "again" after a short write too, and libmicrohttpd then waits for room that is there already. */
	ssize_t n = next_send(session, data, size);
	if (n == GNUTLS_E_AGAIN)
		n = next_send(session, data, size);
	while (n == GNUTLS_E_INTERRUPTED)
		n = next_send(session, data, size);
	return n;
}

static ssize_t
unsent_continue(struct edge_connection *connection)
{
	struct edge_unsent *unsent = connection->unsent;
	bool unfinished = true;
	while (unsent->at < unsent->length) {
		/* Without data: the record that GnuTLS could not write whole. */
		ssize_t n = call_send(connection->session, unfinished ? NULL : unsent->bytes + unsent->at,
				      unfinished ? 0 : unsent->length - unsent->at);
		if (n <= 0)
			return n < 0 ? n : GNUTLS_E_INTERNAL_ERROR;
		unfinished = false;
		unsent->at += (size_t) n;
	}
	ssize_t theirs = (ssize_t) unsent->theirs;
	free(unsent);
	connection->unsent = NULL;
	return theirs;
}

/* theirs: how much of what libmicrohttpd has just given is in the buffer. */
static ssize_t
buffer_send(struct edge_connection *connection, size_t length, size_t theirs)
{
	size_t at = 0;
	while (at < length) {
		ssize_t n = call_send(connection->session, buffer + at, length - at);
		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
			struct edge_unsent *unsent = malloc(sizeof(*unsent) + length - at);
			if (!unsent)
				return GNUTLS_E_MEMORY_ERROR;
			*unsent = (struct edge_unsent){.length = length - at, .theirs = theirs};
			memcpy(unsent->bytes, buffer + at, length - at);
			connection->unsent = unsent;
			return n;
		}
		if (n <= 0)
			return n < 0 ? n : GNUTLS_E_INTERNAL_ERROR;
		at += (size_t) n;
	}
	return (ssize_t) theirs;
}

static size_t
append(size_t at, const char *text)
{
	size_t n = strlen(text);
	assert(at + n <= sizeof(buffer));
	memcpy(buffer + at, text, n);
	return at + n;
}

/* The fields of the answer go before the empty line. */
static size_t
head_compose(const struct response *answer, const char *head, size_t length)
{
	size_t at = length - 2;
	assert(length >= 4 && memcmp(head + length - 4, "\r\n\r\n", 4) == 0);
	memcpy(buffer, head, at);
	for (size_t i = 0; i < answer->header_count; i++) {
		at = append(at, answer->headers[i].name);
		at = append(at, ": ");
		at = append(at, answer->headers[i].value);
		at = append(at, "\r\n");
	}
	return append(at, "\r\n");
}

static ssize_t
head_send(struct edge_connection *connection, const char *head, size_t size)
{
	const struct response *answer = connection->answer;
	size_t length = head_compose(answer, head, size);
	connection->answer = NULL;
	if (connection->body_follows && length + answer->length <= sizeof(buffer)) {
		connection->staged = length;
		return (ssize_t) size;
	}
	return buffer_send(connection, length, size);
}

ssize_t
gnutls_record_send(gnutls_session_t session, const void *data, size_t size)
{
	struct edge_connection *connection = edge_table_find(session);
	if (!connection)
		return call_send(session, data, size);
	if (connection->unsent)
		return unsent_continue(connection);
	if (connection->answer)
		return head_send(connection, data, size);
	if (!connection->staged)
		return call_send(session, data, size);
	size_t length = connection->staged;
	assert(length + size <= sizeof(buffer)); /* head_send has made sure */
	memcpy(buffer + length, data, size);
	connection->staged = 0;
	return buffer_send(connection, length + size, size);
}

void
edge_send_prepare(struct edge_connection *connection, const struct response *answer, bool body_follows)
{
	connection->answer = answer;
	connection->body_follows = body_follows;
}

void
edge_send_forget(struct edge_connection *connection)
{
	connection->answer = NULL;
	connection->staged = 0;
	free(connection->unsent);
	connection->unsent = NULL;
}
