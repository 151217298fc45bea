/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A request's record in the access log. */
#include "request.h"

#include "accesslog.h"
#include "monotonic.h"
#include "step.h"

#include <string.h>
#include <strings.h>
#include <time.h>

void
request_service_log(struct request_service *service, struct accesslog *log)
{
	service->log = log;
}

static const char *
header_of(const struct request_head *head, const char *name)
{
	for (size_t i = 0; i < head->header_count; i++)
		if (strcasecmp(head->headers[i].name, name) == 0)
			return head->headers[i].value;
	return NULL;
}

static int64_t
real_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void
request_log(const struct request *request, enum request_outcome outcome)
{
	const struct connection_peer *peer = connection_peer(request->connection);
	const struct request_head *head = &request->head;
	const struct response *response = &request->response;
	const struct step *step = request->step_count > 0 ? &request->steps[request->current] : NULL;
	const struct instance *instance = step != NULL ? step->visit.instance : NULL;
	uint64_t took = monotonic_now() - request->began;
	struct accesslog_entry entry = {
		.began = real_now() - (int64_t) took,
		.duration = took,
		.bytes = response->streamed                  ? request->streamed
			 : strcmp(head->method, "HEAD") == 0 ? 0
							     : response->length,
		.instance = instance != NULL ? instance_number(instance) : 0,
		.status = response->status,
		.aborted = outcome == REQUEST_ABORTED,
		.text =
			{
				[ACCESSLOG_ADDRESS] = peer->address,
				[ACCESSLOG_SUBJECT] = peer->identity->subject,
				[ACCESSLOG_METHOD] = head->method,
				[ACCESSLOG_TARGET] = head->target,
				[ACCESSLOG_VERSION] = head->version,
				[ACCESSLOG_HOST] = head->host,
				[ACCESSLOG_REFERER] = header_of(head, "Referer"),
				[ACCESSLOG_AGENT] = header_of(head, "User-Agent"),
				[ACCESSLOG_ROUTE] = request->route != NULL ? request->route->name : NULL,
				[ACCESSLOG_PLUGIN] = instance != NULL ? instance_plugin(instance) : NULL,
				[ACCESSLOG_TLS] = peer->tls_version,
			},
	};

	accesslog_write(request->service->log, &entry);
}
