/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* request.h - one request from head to accounting record, as a state table.
 *
 * Includes neither libmicrohttpd nor GnuTLS nor dlfcn: a transport drives it, the endpoint in the daemon, a fake in
 * unit tests and fuzzers.
 *
 *   request_begin -> [request_feed ...] -> request_upload_complete -> (WAIT, request_poll ...) -> ANSWER -> request_end
 *
 * Each step says what the transport does next. WAIT: the request has called transport->suspend; transport->resume comes
 * later from any thread (maybe before the step returned), and after it the transport calls request_poll.
 *
 * Threads: the steps of one request are called one at a time by the transport's thread for its connection.
 * Owns: a request copies its head; the answer belongs to the request until request_end.
 */
#include "config.h"
#include "connection.h"
#include "request-header.h"
#include "response.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request;
struct request_service;
struct supervisor;
struct accesslog;

struct request_head {
	const char *method; /* token, upper case as sent */
	const char *target; /* raw request target, for logs */
	const char *path;   /* percent-decoded, checked by the framing gate: starts with '/', no ".", "..", "//", NUL */
	const char *query;  /* raw, without '?'; NULL: none */
	const char *version; /* "HTTP/1.1" */
	const char *host;    /* lower case, without port; NULL: none (HTTP/1.0) */
	const struct request_header *headers;
	size_t header_count;
	int64_t content_length; /* -1: chunked, 0: no body */
};

/* What the transport offers. Both may be called with the request's internal lock free only. */
struct request_transport {
	void (*suspend)(void *transport); /* on the thread that called the step */
	void (*resume)(void *transport);  /* any thread, once per suspend */
};

enum request_next {
	REQUEST_READ,   /* hand over body bytes, then request_upload_complete */
	REQUEST_WAIT,   /* suspended; call request_poll after the resume */
	REQUEST_ANSWER, /* send request_response */
};

enum request_outcome {
	REQUEST_SENT,    /* the whole answer went out */
	REQUEST_ABORTED, /* the client went away, or the transport failed or timed out */
};

/* The service requests run against: the current snapshot, its router and the supervisor. */
int request_service_new(struct supervisor *supervisor, struct request_service **ret);
/* Makes a snapshot current for requests that begin from now on; those under way keep theirs. Takes its own reference.
 */
int request_service_apply(struct request_service *service, struct config *config);
/* Forgets snapshots that no request holds any more; returns how many old ones are still held. */
size_t request_service_settle(struct request_service *service);
/* The route of a number that escapes are booked under (scope.h); NULL: none. Valid as long as the service. */
const char *request_service_route(struct request_service *service, unsigned number);
/* Where requests that begin from now on leave a record; NULL: nowhere. Before the first request. */
void request_service_log(struct request_service *service, struct accesslog *log);
void request_service_free(struct request_service **service);
/* From now on every answer says Connection: close. */
void request_service_drain(struct request_service *service);

/* On -ENOMEM *ret is NULL and the transport answers 503 and closes; else 0 and *ret_next says what to do.
 * connection: referenced. transport: passed to the ops. */
int request_begin(struct request_service *service, struct connection *connection, const struct request_head *head,
		  const struct request_transport *ops, void *transport, struct request **ret,
		  enum request_next *ret_next);
/* Consumes all of data. ANSWER early means: the rest of the body is not wanted (answer, then close). */
enum request_next request_feed(struct request *request, const void *data, size_t length);
enum request_next request_upload_complete(struct request *request);
enum request_next request_poll(struct request *request);
const struct response *request_response(const struct request *request);
/* Streamed answers. > 0: bytes written; 0: nothing yet, suspended (resume comes); -1: end; -2: broken, abort. */
ssize_t request_stream_read(struct request *request, uint64_t position, char *buffer, size_t size);
/* The exchange is over; clears the caller's pointer. The struct lives on while a plugin still holds it deferred. */
void request_end(struct request **request, enum request_outcome outcome);

/* The transport's client is known to be gone while the request is suspended: cancels it. */
void request_client_gone(struct request *request);
