/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One request and its answer: libmicrohttpd's calls on one side, the steps of request.h on the other.
 *
 * libmicrohttpd calls edge_exchange_step once with the head, then with pieces of the body, then once more at the end;
 * after a resume it repeats the call that suspended. An answer is queued at the end, because one that is queued with
 * the head costs the client its connection; only where a body is not wanted that is just right.
 */
#include "edge.h"

#include "target.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

enum { STREAM_BLOCK = 16 * 1024 }; /* one TLS record */

struct exchange {
	struct edge_connection *connection;
	struct request *request; /* NULL until begun, and when none could be made */
	bool begun;
	bool head_done; /* the next call without data is the last */
	bool waiting;   /* suspended by the request: poll it first */
	bool uploaded;
	bool answering;            /* the request has an answer */
	bool answered;             /* and it was queued */
	size_t fed;                /* bytes of the piece at hand that the request has seen before it suspended */
	struct gate_request *head; /* NULL: the gate has refused it */
	const char *query;
	char path[];
};

static struct edge_connection *
connection_of(struct MHD_Connection *mhd)
{
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

void *
edge_exchange_begin(void *endpoint, const char *target, struct MHD_Connection *mhd)
{
	struct edge_connection *connection = connection_of(mhd);
	(void) endpoint, (void) target; /* the gate has the client's */
	if (!connection->gate)
		return NULL;
	struct gate_request *head = gate_take_request(connection->gate);
	size_t length = head ? strlen(head->target) : 0;
	struct exchange *exchange = calloc(1, sizeof(*exchange) + length + 1);
	if (!exchange) {
		gate_request_free(&head);
		return NULL;
	}
	exchange->connection = connection;
	exchange->head = head;
	if (head)
		(void) target_decode(head->target, length, exchange->path, &exchange->query);
	pthread_mutex_lock(&connection->lock);
	connection->exchange = exchange;
	pthread_mutex_unlock(&connection->lock);
	return exchange;
}

/* --- the peer ---------------------------------------------------------------------------------------------------- */

enum { PEER_CHAIN = 10 }; /* more than verification takes */

static int
peer_identify(struct endpoint *endpoint, const gnutls_datum_t *peers, unsigned count, struct identity **ret,
	      struct error *error)
{
	struct identity_der chain[PEER_CHAIN];

	if (count > PEER_CHAIN)
		count = PEER_CHAIN;
	for (unsigned i = 0; i < count; i++)
		chain[i] = (struct identity_der){peers[i].data, peers[i].size};
	return identity_cache_read(endpoint->identities, chain, count, ret, error);
}

/* Without the extended master secret an exporter of TLS 1.2 does not bind to one connection (RFC 9266, 3). */
static bool
session_binding(gnutls_session_t session, unsigned char *ret)
{
	gnutls_datum_t binding = {NULL, 0};
	bool bound = false;

	if (gnutls_protocol_get_version(session) < GNUTLS_TLS1_3 && !gnutls_session_ext_master_secret_status(session))
		return false;
	if (gnutls_session_channel_binding(session, GNUTLS_CB_TLS_EXPORTER, &binding) == 0) {
		bound = binding.size == CONNECTION_BINDING;
		if (bound)
			memcpy(ret, binding.data, binding.size);
		gnutls_free(binding.data);
	}
	return bound;
}

static int
connection_identify(struct edge_connection *connection)
{
	unsigned count = 0;
	struct error error = {0};
	struct identity *identity = NULL;
	char address[LISTENER_HOST];
	unsigned char binding[CONNECTION_BINDING];
	const gnutls_datum_t *peers = gnutls_certificate_get_peers(connection->session, &count);

	if (connection->shared)
		return 0;
	if (!peers || !count)
		return -EACCES; /* cannot be: the handshake has demanded one */
	int r = peer_identify(connection->endpoint, peers, count, &identity, &error);
	if (r < 0) {
		edge_count(connection, EDGE_REFUSAL + TLS_BAD_CERTIFICATE);
		return r;
	}
	struct connection_peer peer = {
		.identity = identity,
		.address = address,
		.listener = connection->profile->listener,
		.tls_version = gnutls_protocol_get_name(gnutls_protocol_get_version(connection->session)),
		.cipher = gnutls_cipher_get_name(gnutls_cipher_get(connection->session)),
		.resumed = connection->handshake.resumed,
		.binding = session_binding(connection->session, binding) ? binding : NULL,
	};
	listener_format_host(&connection->address.any, address, &peer.port);
	r = connection_new(&peer, &connection->shared);
	identity_unref(&identity);
	return r;
}

/* --- suspension -------------------------------------------------------------------------------------------------- */

static void
exchange_suspend(void *transport)
{
	struct exchange *exchange = transport;
	struct edge_connection *connection = exchange->connection;
	pthread_mutex_lock(&connection->lock);
	/* The client is not late while a plugin makes it wait. */
	if (connection->due_for == EDGE_BODY && connection->due != UINT64_MAX) {
		uint64_t now = deadline_now(connection->endpoint->wheel);
		connection->held_up = connection->due > now ? connection->due - now : 1;
		edge_expect_nothing(connection);
	}
	pthread_mutex_unlock(&connection->lock);
	/* Only the end of the connection is watched for: data may be the next request. */
	(void) edge_suspend(connection, EDGE_FOR_REQUEST, EPOLLRDHUP);
}

static void
exchange_resume(void *transport)
{
	struct exchange *exchange = transport;
	edge_resume(exchange->connection, EDGE_FOR_REQUEST);
}

static const struct request_transport transport = {.suspend = exchange_suspend, .resume = exchange_resume};

static void
exchange_resumed(struct exchange *exchange)
{
	struct edge_connection *connection = exchange->connection;
	exchange->waiting = false;
	if (!connection->held_up)
		return;
	pthread_mutex_lock(&connection->lock);
	edge_expect_by(connection, EDGE_BODY, deadline_now(connection->endpoint->wheel) + connection->held_up);
	pthread_mutex_unlock(&connection->lock);
	connection->held_up = 0;
}

void
edge_exchange_client_gone(struct edge_connection *connection)
{
	struct exchange *exchange = connection->exchange;
	if (!exchange || !exchange->request)
		return;
	/* The request may resume us at once: our lock must be free. Its end waits for telling. */
	struct request *request = exchange->request;
	connection->telling = true;
	pthread_mutex_unlock(&connection->lock);
	request_client_gone(request);
	pthread_mutex_lock(&connection->lock);
	connection->telling = false;
	pthread_cond_broadcast(&connection->told);
}

static bool
is_dead(struct edge_connection *connection)
{
	pthread_mutex_lock(&connection->lock);
	bool dead = connection->dead;
	pthread_mutex_unlock(&connection->lock);
	return dead || atomic_load_explicit(&connection->endpoint->stopping, memory_order_relaxed);
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

static int
answer_queue(struct edge_connection *connection, struct MHD_Connection *mhd, int status, struct MHD_Response *answer,
	     bool close)
{
	enum MHD_Result result = MHD_YES;
	if (!answer)
		return -ENOMEM;
	pthread_mutex_lock(&connection->lock);
	close = close || edge_closing(connection);
	edge_expect(connection, EDGE_WRITE);
	pthread_mutex_unlock(&connection->lock);
	if (close)
		result = MHD_add_response_header(answer, MHD_HTTP_HEADER_CONNECTION, "close");
	if (result == MHD_YES)
		result = MHD_queue_response(mhd, (unsigned) status, answer);
	MHD_destroy_response(answer);
	return result == MHD_YES ? 0 : -EIO;
}

/* A page of the edge itself: nothing of the request is to be believed, so that the connection ends with it. */
static int
answer_page(struct edge_connection *connection, struct MHD_Connection *mhd, int status, const char *sentence)
{
	char text[200];
	int n = snprintf(text, sizeof(text), "%d %s: %s\n", status, response_reason(status), sentence);
	struct MHD_Response *answer = MHD_create_response_from_buffer((size_t) n, text, MHD_RESPMEM_MUST_COPY);
	if (answer)
		(void) MHD_add_response_header(answer, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
	connection->last_words = true;
	return answer_queue(connection, mhd, status, answer, true);
}

/* Cuts the connection under an answer that cannot go on. Libmicrohttpd 0.9.75 forgets a connection whose reader reports
 * an error while its descriptor is in no epoll set (it never had to wait); a write that fails it does notice. So the
 * socket goes first, and the byte that is returned never leaves. The client misses the close_notify, as it should. */
static ssize_t
stream_cut(struct exchange *exchange, char *buffer)
{
	struct edge_connection *connection = exchange->connection;
	pthread_mutex_lock(&connection->lock);
	edge_kill(connection);
	pthread_mutex_unlock(&connection->lock);
	buffer[0] = '\0';
	return 1;
}

static ssize_t
stream_read(void *cls, uint64_t position, char *buffer, size_t size)
{
	struct exchange *exchange = cls;
	if (is_dead(exchange->connection))
		return stream_cut(exchange, buffer);
	ssize_t n = request_stream_read(exchange->request, position, buffer, size);
	if (n > 0)
		return n;
	if (n == -1)
		return MHD_CONTENT_READER_END_OF_STREAM;
	/* Nothing yet: suspended, unless the connection died under it. */
	return n == 0 && !is_dead(exchange->connection) ? 0 : stream_cut(exchange, buffer);
}

static struct MHD_Response *
answer_make(struct exchange *exchange, const struct response *response)
{
	struct MHD_Response *answer;
	if (response->streamed)
		answer = MHD_create_response_from_callback(response->announced < 0 ? MHD_SIZE_UNKNOWN
										   : (uint64_t) response->announced,
							   STREAM_BLOCK, stream_read, exchange, NULL);
	else
		answer = MHD_create_response_from_buffer(response->length, response->body, MHD_RESPMEM_PERSISTENT);
	return answer;
}

static int
exchange_answer(struct exchange *exchange, struct MHD_Connection *mhd)
{
	struct edge_connection *connection = exchange->connection;
	const struct response *response = request_response(exchange->request);
	exchange->answered = true;
	bool bodiless = strcmp(exchange->head->method, MHD_HTTP_METHOD_HEAD) == 0 || response->status == 204 ||
			response->status == 304;
	edge_send_prepare(connection, response, !response->streamed && response->length > 0 && !bodiless);
	return answer_queue(connection, mhd, response->status, answer_make(exchange, response),
			    response->close || gate_phase(connection->gate) == GATE_REFUSED);
}

static int
exchange_refuse(struct exchange *exchange, struct MHD_Connection *mhd)
{
	enum gate_reason reason = gate_refusal(exchange->connection->gate);
	edge_count(exchange->connection, EDGE_BAD_REQUESTS);
	return answer_page(exchange->connection, mhd, gate_reason_status(reason), gate_reason_text(reason));
}

/* --- the head ---------------------------------------------------------------------------------------------------- */

/* Lower case, without the port. The gate has checked its form. */
static const char *
host_name(const char *host, char *name, size_t size)
{
	size_t length = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	if (length >= size)
		return NULL;
	for (size_t i = 0; i < length; i++)
		name[i] = (char) (host[i] >= 'A' && host[i] <= 'Z' ? host[i] + ('a' - 'A') : host[i]);
	name[length] = '\0';
	return name;
}

static int
exchange_request(struct exchange *exchange, enum request_next *ret_next)
{
	struct edge_connection *connection = exchange->connection;
	const struct gate_request *came = exchange->head;
	char host[256];
	struct request *request = NULL;
	struct request_head head = {
		.method = came->method,
		.target = came->target,
		.path = exchange->path,
		.query = exchange->query,
		.version = came->version,
		.host = came->host ? host_name(came->host, host, sizeof(host)) : NULL,
		.headers = came->headers,
		.header_count = came->header_count,
		.content_length = gate_content_length(connection->gate),
	};
	edge_count(connection, EDGE_REQUESTS);
	int r = request_begin(connection->endpoint->service, connection->shared, &head, &transport, exchange, &request,
			      ret_next);
	pthread_mutex_lock(&connection->lock);
	exchange->request = request;
	pthread_mutex_unlock(&connection->lock);
	return r;
}

/* --- the steps --------------------------------------------------------------------------------------------------- */

static int
step_head(struct exchange *exchange, struct MHD_Connection *mhd)
{
	struct edge_connection *connection = exchange->connection;
	enum request_next next = REQUEST_READ;

	if (gate_refusal(connection->gate))
		return exchange_refuse(exchange, mhd);
	if (!exchange->begun) {
		exchange->begun = true;
		int r = connection_identify(connection);
		if (r < 0 && r != -ENOMEM)
			return r;
		if (r == 0)
			r = exchange_request(exchange, &next);
		if (r < 0)
			return answer_page(connection, mhd, 503, "out of memory");
	} else {
		exchange_resumed(exchange);
		next = request_poll(exchange->request);
	}
	exchange->waiting = next == REQUEST_WAIT;
	exchange->answering = next == REQUEST_ANSWER;
	/* A body that nobody wants: answered before it is read, and the connection closed. */
	if (exchange->answering && gate_content_length(connection->gate) != 0) {
		connection->last_words = true;
		return exchange_answer(exchange, mhd);
	}
	exchange->head_done = !exchange->waiting;
	return 0;
}

static int
step_body(struct exchange *exchange, const char *data, size_t *length)
{
	struct edge_connection *connection = exchange->connection;
	enum request_next next = REQUEST_READ;

	if (exchange->waiting) {
		exchange_resumed(exchange);
		next = request_poll(exchange->request);
	}
	bool ended = exchange->answering || gate_refusal(connection->gate);
	if (!ended && next == REQUEST_READ && *length > exchange->fed)
		next = request_feed(exchange->request, data + exchange->fed, *length - exchange->fed);
	if (next == REQUEST_WAIT) {
		/* Left with libmicrohttpd, although the request has seen it: it calls again after the resume only if
		 * there is something to call with. */
		exchange->waiting = true;
		exchange->fed = *length;
		return 0;
	}
	exchange->fed = 0;
	*length = 0;
	if (next == REQUEST_ANSWER && !ended) {
		/* No answer can be queued in the middle of a body: let it end now. */
		exchange->answering = true;
		connection->last_words = true;
		gate_abandon(connection->gate);
	}
	return 0;
}

static int
step_end(struct exchange *exchange, struct MHD_Connection *mhd)
{
	enum request_next next = REQUEST_READ;

	if (gate_refusal(exchange->connection->gate))
		return exchange_refuse(exchange, mhd);
	if (exchange->answering)
		return exchange_answer(exchange, mhd);
	if (exchange->waiting) {
		exchange_resumed(exchange);
		next = request_poll(exchange->request);
	}
	if (next == REQUEST_READ && !exchange->uploaded) {
		exchange->uploaded = true;
		next = request_upload_complete(exchange->request);
	}
	if (next == REQUEST_ANSWER)
		return exchange_answer(exchange, mhd);
	exchange->waiting = next == REQUEST_WAIT;
	return exchange->waiting ? 0 : -EPROTO;
}

int
edge_exchange_step(struct MHD_Connection *mhd, const char *data, size_t *length, void **exchangep)
{
	struct exchange *exchange = *exchangep;
	if (!exchange)
		return answer_page(connection_of(mhd), mhd, 503, "out of memory");
	/* The one way here is through the gate; a message it has not seen ends the connection. */
	if (!exchange->connection->gate || is_dead(exchange->connection) ||
	    (!exchange->head && !gate_refusal(exchange->connection->gate)))
		return -ECONNABORTED;
	int r = !exchange->head_done ? step_head(exchange, mhd)
		: *length            ? step_body(exchange, data, length)
				     : step_end(exchange, mhd);
	/* Died meanwhile: the request may believe it is suspended, and is not. */
	return r == 0 && exchange->waiting && is_dead(exchange->connection) ? -ECONNABORTED : r;
}

void
edge_exchange_end(struct MHD_Connection *mhd, void **exchangep, bool sent)
{
	struct edge_connection *connection = connection_of(mhd);
	struct exchange *exchange = *exchangep;
	*exchangep = NULL;
	edge_send_forget(connection);
	if (exchange) {
		pthread_mutex_lock(&connection->lock);
		while (connection->telling)
			pthread_cond_wait(&connection->told, &connection->lock);
		connection->exchange = NULL;
		pthread_mutex_unlock(&connection->lock);
		if (exchange->request)
			request_end(&exchange->request, sent && exchange->answered ? REQUEST_SENT : REQUEST_ABORTED);
		gate_request_free(&exchange->head);
		free(exchange);
	}
	edge_record_next(connection);
}
