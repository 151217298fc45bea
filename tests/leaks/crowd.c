/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crowd.h"

#include "../unit/fake-transport.h"
#include "cleanup.h"
#include "connection.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct client {
	struct identity identity;
	char subject[32], fingerprint[65];
};

/* One connection, and what is under way on it. */
struct line {
	struct connection *connection; /* NULL: closed */
	struct client client;          /* in a place of its own: the resident set is to be the plugin's doing */
	struct request *request;       /* NULL: none is under way */
	struct fake_transport transport;
	uint64_t ends;     /* UINT64_MAX: when its deadline has passed */
	uint32_t left;     /* requests to come before it is closed */
	bool abort, fresh; /* fresh: a full handshake, and no request since */
};

struct crowd {
	struct stage *stage;
	struct traffic *traffic;
	uint64_t due;     /* the least of lines' ends */
	unsigned waiting; /* lines whose request is suspended */
	struct line lines[TRAFFIC_LINES];
};

int
crowd_new(struct stage *stage, struct traffic *traffic, struct crowd **ret)
{
	struct crowd *crowd = calloc(1, sizeof(*crowd));

	if (crowd == NULL)
		return -ENOMEM;
	crowd->stage = stage;
	crowd->traffic = traffic;
	crowd->due = UINT64_MAX;
	for (unsigned i = 0; i < TRAFFIC_LINES; i++)
		fake_transport_set_up(&crowd->lines[i].transport);
	*ret = crowd;
	return 0;
}

uint64_t
crowd_due(const struct crowd *crowd)
{
	return crowd->due;
}

/* --- connections ------------------------------------------------------------------------------------------------- */

static void
client_set(struct client *client, uint32_t number)
{
	static const char *const no_names[] = {NULL};
	uint64_t z = number + UINT64_C(0x5851f42d4c957f2d);

	(void) snprintf(client->subject, sizeof(client->subject),
			number == TRAFFIC_MONITOR ? "CN=monitor" : "CN=client-%07u", number);
	for (unsigned i = 0; i < 4; i++) {
		z = (z ^ (z >> 31)) * 0x7fb5d329728ea185;
		z = (z ^ (z >> 27)) * 0x81dadef4bc2dd44d;
		(void) snprintf(client->fingerprint + (size_t) 16 * i, 17, "%016" PRIx64, z ^ (z >> 33));
	}
	client->identity = (struct identity){
		.subject = client->subject,
		.issuer = "CN=ca",
		.serial = "01",
		.spki_sha256 = client->fingerprint,
		.certificate_sha256 = client->fingerprint,
	};
	for (size_t i = 0; i < IDENTITY_SAN_COUNT; i++)
		client->identity.san[i] = no_names;
}

static void
line_close(struct line *line)
{
	connection_close(line->connection);
	connection_unref(&line->connection);
}

static void
line_open(struct crowd *crowd, struct line *line)
{
	struct traffic_opening opening;

	traffic_open(crowd->traffic, &opening);
	client_set(&line->client, opening.client);
	line->left = opening.requests;
	line->fresh = !opening.resumed;
	const struct connection_peer peer = {
		.identity = &line->client.identity,
		.address = "192.0.2.1",
		.listener = "main",
		.tls_version = "TLS1.3",
		.cipher = "AES",
		.resumed = opening.resumed,
	};
	if (connection_new(&peer, &line->connection) < 0)
		abort();
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

static void
line_answer(struct line *line)
{
	request_end(&line->request, line->abort ? REQUEST_ABORTED : REQUEST_SENT);
	if (line->left == 0)
		line_close(line);
}

/* A line without a request; where there is none, the answer that is due first is taken early. */
static struct line *
take_line(struct crowd *crowd)
{
	unsigned first = traffic_below(crowd->traffic, TRAFFIC_LINES);
	struct line *soonest = NULL;

	for (unsigned i = 0; i < TRAFFIC_LINES; i++) {
		struct line *line = &crowd->lines[(first + i) % TRAFFIC_LINES];
		if (line->request == NULL)
			return line;
		if (soonest == NULL || line->ends < soonest->ends)
			soonest = line;
	}
	if (soonest->ends == UINT64_MAX)
		abort(); /* all are slow: no traffic here is */
	line_answer(soonest);
	return soonest;
}

void
crowd_send(struct crowd *crowd, const struct traffic_next *next, uint64_t began)
{
	struct line *line = take_line(crowd);
	char path[48], query[32];
	enum request_next step;

	if (line->connection == NULL)
		line_open(crowd, line);
	(void) snprintf(path, sizeof(path), "%sitem-%02u%s", next->special ? "/special/" : "/",
			(unsigned) (next->key % 100),
			next->slow    ? "/slow"
			: next->error ? "/error"
				      : "");
	(void) snprintf(query, sizeof(query), "k=%llu", (unsigned long long) next->key);
	const struct request_header headers[] = {{"Host", "h"}, {"Session", "new"}};
	const struct request_head head = {
		.method = "GET",
		.target = path,
		.path = path,
		.query = query,
		.version = "HTTP/1.1",
		.host = "h",
		.headers = headers,
		.header_count = line->fresh ? 2 : 1,
	};
	line->fresh = false;
	line->left--;
	line->abort = next->abort;
	line->ends = began + next->at + next->took;
	if (request_begin(stage_service(crowd->stage), line->connection, &head, &fake_transport_ops, &line->transport,
			  &line->request, &step) < 0)
		abort();
	if (step != REQUEST_ANSWER)
		step = request_upload_complete(line->request);
	if (step == REQUEST_WAIT) {
		line->ends = UINT64_MAX;
		crowd->waiting++;
	} else if (line->ends < crowd->due) {
		crowd->due = line->ends;
	}
}

/* A request that waited, and whose wait is over. */
static bool
line_resumes(struct crowd *crowd, struct line *line)
{
	if (line->request == NULL || line->ends != UINT64_MAX || fake_transport_is_suspended(&line->transport))
		return false;
	crowd->waiting--;
	(void) request_poll(line->request);
	return true;
}

void
crowd_receive(struct crowd *crowd, uint64_t now)
{
	uint64_t due = UINT64_MAX;

	for (unsigned i = 0; i < TRAFFIC_LINES; i++) {
		struct line *line = &crowd->lines[i];
		if (line->request == NULL)
			continue;
		if (line->ends <= now || (crowd->waiting > 0 && line_resumes(crowd, line)))
			line_answer(line);
		else if (line->ends < due)
			due = line->ends;
	}
	crowd->due = due;
}

unsigned
crowd_size(const struct crowd *crowd)
{
	unsigned size = 0;

	for (unsigned i = 0; i < TRAFFIC_LINES; i++)
		size += crowd->lines[i].request != NULL;
	return size;
}

void
crowd_leave(struct crowd *crowd)
{
	for (unsigned i = 0; i < TRAFFIC_LINES; i++) {
		if (crowd->lines[i].connection != NULL)
			line_close(&crowd->lines[i]);
	}
}
