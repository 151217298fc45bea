/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libmicrohttpd's daemon: its options, and its news of connections and requests handed on. */
#include "edge.h"

#include "log.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Every idle connection holds its pool, and all of it is cleared for every request. The heads it has to hold are small
 * ones of our own making: the gate puts them in place of the clients', and edge-send.c adds the fields of answers. */
enum { POOL = 3328 };

/* Asked for only while a session is made; ours are set before the handshake begins. */
static int
no_certificate(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
	       const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **certificate,
	       unsigned *certificate_length, gnutls_privkey_t *key)
{
	(void) session, (void) authorities, (void) authority_count, (void) algorithms, (void) algorithm_count;
	(void) certificate, (void) certificate_length, (void) key;
	return -1;
}

static void serve_log(void *cls, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

static void
serve_log(void *cls, const char *format, va_list arguments)
{
	char text[500];
	(void) cls;
	if (log_level() < LOG_DEBUG)
		return;
	(void) vsnprintf(text, sizeof(text), format, arguments);
	text[strcspn(text, "\n")] = '\0';
	log_debug("libmicrohttpd: %s", text);
}

static void
connection_started(struct MHD_Connection *mhd, void **socket_context)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	int fd = info->connect_fd;
	struct edge_connection *connection = edge_table_by_descriptor(fd);
	*socket_context = connection;
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	connection->mhd = mhd;
	connection->session = (gnutls_session_t) info->tls_session;
	edge_table_set_session(connection);
	edge_socket_attach(connection);
	int r = handshake_attach(&connection->handshake, connection->session);
	pthread_mutex_lock(&connection->lock);
	connection->state = EDGE_SHAKING;
	if (connection->dead)
		(void) shutdown(fd, SHUT_RDWR);
	else if (r < 0)
		edge_kill(connection);
	pthread_mutex_unlock(&connection->lock);
}

static void
notify_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
		  enum MHD_ConnectionNotificationCode what)
{
	(void) cls;
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		connection_started(mhd, socket_context);
		return;
	}
	struct edge_connection *connection = *socket_context;
	*socket_context = NULL;
	edge_connection_closed(&connection);
}

static enum MHD_Result
serve_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method, const char *version,
	      const char *data, size_t *length, void **exchange)
{
	(void) cls, (void) url, (void) method, (void) version; /* the gate has the client's */
	return edge_exchange_step(mhd, data, length, exchange) < 0 ? MHD_NO : MHD_YES;
}

static void
notify_completed(void *cls, struct MHD_Connection *mhd, void **exchange, enum MHD_RequestTerminationCode how)
{
	(void) cls;
	edge_exchange_end(mhd, exchange, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

int
edge_serve_start(struct endpoint *endpoint, int64_t threads, const struct config_limits *limits, struct error *error)
{
	const unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_TLS | MHD_USE_ITC |
			       MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	int r = edge_record_check(error);
	if (r < 0)
		return r;
	handshake_init(edge_record_handshake);
	if (threads <= 0)
		threads = sysconf(_SC_NPROCESSORS_ONLN);
	/* Our own limit is the one that counts; libmicrohttpd divides its by threads and drops what exceeds a share. */
	unsigned most = (unsigned) (limits->connections + 1) * (unsigned) threads;
	struct MHD_OptionItem options[] = {
		{MHD_OPTION_EXTERNAL_LOGGER, (intptr_t) serve_log, NULL},
		{MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *) no_certificate},
		{MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL, NULL},
		{MHD_OPTION_CONNECTION_LIMIT, (intptr_t) most, NULL},
		{MHD_OPTION_CONNECTION_TIMEOUT, 0, NULL},
		{MHD_OPTION_NOTIFY_CONNECTION, (intptr_t) notify_connection, endpoint},
		{MHD_OPTION_NOTIFY_COMPLETED, (intptr_t) notify_completed, endpoint},
		{MHD_OPTION_URI_LOG_CALLBACK, (intptr_t) edge_exchange_begin, endpoint},
		{MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
		{threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t) threads, NULL},
		{MHD_OPTION_END, 0, NULL},
	};
	edge_turns_allow(&endpoint->turns, (size_t) threads);
	endpoint->mhd = MHD_start_daemon(flags, 0, NULL, NULL, serve_request, endpoint, MHD_OPTION_ARRAY, options,
					 MHD_OPTION_END);
	if (!endpoint->mhd)
		return error_set(error, -EIO,
				 "libmicrohttpd %s does not start: it needs TLS, epoll and threads compiled in",
				 MHD_get_version());
	return 0;
}

void
edge_serve_stop(struct endpoint *endpoint)
{
	if (endpoint->mhd)
		MHD_stop_daemon(endpoint->mhd);
	endpoint->mhd = NULL;
}

int
edge_serve_add(struct edge_connection *connection)
{
	socklen_t length = connection->address.any.sa_family == AF_INET6 ? sizeof(connection->address.v6)
									 : sizeof(connection->address.v4);
	return MHD_add_connection(connection->endpoint->mhd, connection->fd, &connection->address.any, length) ==
			       MHD_YES
		       ? 0
		       : -EIO;
}

void
edge_serve_suspend(struct edge_connection *connection)
{
	MHD_suspend_connection(connection->mhd);
}

void
edge_serve_resume(struct edge_connection *connection)
{
	MHD_resume_connection(connection->mhd);
}

const char *
endpoint_library(void)
{
	return MHD_get_version();
}
