/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mtls-client.c - a bounded mutual-TLS load for comparing servers: handshakes, requests, idle and refused connections.
 *
 * usage: mtls-client HOST PORT CA CERTIFICATES VERSION WHAT COUNT [THREADS]
 *
 * CERTIFICATES: a folder of 0.pem, 1.pem, … (certificate and key in one file), used in turn, or one such file.
 * VERSION: 1.2 or 1.3. WHAT:
 *   full      COUNT full handshakes, each with one request and a proper close
 *   resumed   the same with a ticket; each thread's first handshake, which is full, comes before the go
 *   requests  COUNT requests over THREADS keep-alive connections
 *   hold      COUNT connections that have had one answer and then say nothing
 *   refused   COUNT clients that keep writing after their handshake, then ask why they were refused
 *
 * Prints "ready", waits for a line on its standard input (the go), works, prints "done NUMBER FAILED SECONDS", waits
 * for another line or the end, and exits. Whoever measures the server looks at it at these points. NUMBER is what it
 * did: handshakes of the kind that was asked for, requests, connections, or clients that were told an alert.
 *
 * All servers are offered the same: X25519 first, AES-128-GCM first, no ALPN.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER = 16 * 1024, WRITES = 200, WRITE_SIZE = 1024 };

static struct sockaddr_in server;
static gnutls_certificate_credentials_t *identities;
static unsigned identity_count;
static gnutls_priority_t priorities;
static long wanted;
static atomic_long begun, achieved, failed;
static const char ask[] = "GET /bench HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct worker {
	pthread_t thread;
	gnutls_datum_t ticket;
	gnutls_session_t session;
};

static double
now(void)
{
	struct timespec t;
	(void) clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static int
identities_load(const char *path, const char *ca)
{
	struct stat info;
	char name[4096];
	bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
	for (;;) {
		(void) snprintf(name, sizeof(name), folder ? "%s/%u.pem" : "%s", path, identity_count);
		if ((!folder && identity_count == 1) || access(name, R_OK) < 0)
			return identity_count ? 0 : -ENOENT;
		identities = realloc(identities, (identity_count + 1) * sizeof(*identities));
		if (!identities)
			return -ENOMEM;
		gnutls_certificate_credentials_t *made = &identities[identity_count++];
		if (gnutls_certificate_allocate_credentials(made) < 0 ||
		    gnutls_certificate_set_x509_trust_file(*made, ca, GNUTLS_X509_FMT_PEM) < 1 ||
		    gnutls_certificate_set_x509_key_file(*made, name, name, GNUTLS_X509_FMT_PEM) < 0)
			return -EBADMSG;
	}
}

static int
session_open(long number, const gnutls_datum_t *ticket, gnutls_session_t *ret)
{
	const int one = 1;
	gnutls_session_t session = NULL;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r = -1;
	if (fd < 0 || connect(fd, (struct sockaddr *) &server, sizeof(server)) < 0) {
		if (fd >= 0)
			(void) close(fd);
		return -1;
	}
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* Without the flag, a certificate that no authority the server names has signed would not be sent at all. */
	gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT);
	gnutls_priority_set(session, priorities);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, identities[(unsigned long) number % identity_count]);
	gnutls_server_name_set(session, GNUTLS_NAME_DNS, "localhost", strlen("localhost"));
	if (ticket && ticket->data)
		gnutls_session_set_data(session, ticket->data, ticket->size);
	gnutls_transport_set_int(session, fd);
	do
		r = gnutls_handshake(session);
	while (r < 0 && !gnutls_error_is_fatal(r));
	if (r < 0) {
		gnutls_deinit(session);
		(void) close(fd);
		return -1;
	}
	*ret = session;
	return 0;
}

static void
session_close(gnutls_session_t session, bool properly)
{
	if (properly)
		(void) gnutls_bye(session, GNUTLS_SHUT_WR);
	(void) close(gnutls_transport_get_int(session));
	gnutls_deinit(session);
}

/* Asks and reads one answer with Content-Length. */
static int
session_ask(gnutls_session_t session)
{
	char buffer[ANSWER];
	size_t have = 0, want = 0;
	if (gnutls_record_send(session, ask, sizeof(ask) - 1) < 0)
		return -1;
	while (want == 0 || have < want) {
		ssize_t n = gnutls_record_recv(session, buffer + have, sizeof(buffer) - 1 - have);
		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			continue;
		if (n <= 0)
			return -1;
		have += (size_t) n;
		buffer[have] = '\0';
		const char *end = strstr(buffer, "\r\n\r\n"), *length = strcasestr(buffer, "content-length:");
		if (want == 0 && end && length)
			want = (size_t) (end + 4 - buffer) + strtoul(length + strlen("content-length:"), NULL, 10);
		if (want >= sizeof(buffer))
			return -1;
	}
	return strncmp(buffer, "HTTP/1.1 200", 12) == 0 ? 0 : -1;
}

/* --- the kinds of work: prepare runs before the go, work after it ------------------------------------------------- */

static void *
handshakes(struct worker *worker, bool resumed)
{
	long number;
	while ((number = atomic_fetch_add(&begun, 1)) < wanted) {
		gnutls_session_t session;
		if (session_open(number, resumed ? &worker->ticket : NULL, &session) < 0) {
			atomic_fetch_add(&failed, 1);
			continue;
		}
		bool good = session_ask(session) == 0 && (gnutls_session_is_resumed(session) != 0) == resumed;
		atomic_fetch_add(good ? &achieved : &failed, 1);
		session_close(session, true);
	}
	return NULL;
}

static void *
work_full(void *worker)
{
	return handshakes(worker, false);
}

static void *
work_resumed(void *worker)
{
	return handshakes(worker, true);
}

static int
prepare_ticket(struct worker *worker)
{
	gnutls_session_t session;
	if (session_open(0, NULL, &session) < 0)
		return -1;
	/* The ticket came before the answer. */
	int r = session_ask(session) < 0 ? -1 : gnutls_session_get_data2(session, &worker->ticket);
	session_close(session, true);
	return r < 0 ? -1 : 0;
}

static int
prepare_session(struct worker *worker)
{
	return session_open(0, NULL, &worker->session) < 0 ? -1 : session_ask(worker->session);
}

static void *
work_requests(void *arg)
{
	struct worker *worker = arg;
	while (atomic_fetch_add(&begun, 1) < wanted) {
		if (session_ask(worker->session) == 0) {
			atomic_fetch_add(&achieved, 1);
			continue;
		}
		atomic_fetch_add(&failed, 1);
		break;
	}
	return NULL;
}

static void *
work_hold(void *worker)
{
	long number;
	(void) worker;
	while ((number = atomic_fetch_add(&begun, 1)) < wanted) {
		gnutls_session_t session; /* ends with the process */
		bool good = session_open(number, NULL, &session) == 0 && session_ask(session) == 0;
		atomic_fetch_add(good ? &achieved : &failed, 1);
	}
	return NULL;
}

/* In TLS 1.3 the client's part is over before the server has seen its certificate: it is told by an alert, which a
 * reset makes its kernel forget. */
static void *
work_refused(void *worker)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	char bytes[WRITE_SIZE] = {0};
	long number;
	(void) worker;
	while ((number = atomic_fetch_add(&begun, 1)) < wanted) {
		gnutls_session_t session;
		ssize_t r = 0;
		if (session_open(number, NULL, &session) < 0) {
			atomic_fetch_add(&failed, 1);
			continue;
		}
		for (int i = 0; i < WRITES && r >= 0; i++) {
			r = gnutls_record_send(session, bytes, sizeof(bytes));
			(void) nanosleep(&pause, NULL);
		}
		do
			r = gnutls_record_recv(session, bytes, sizeof(bytes));
		while (r > 0 || r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED);
		atomic_fetch_add(r == GNUTLS_E_FATAL_ALERT_RECEIVED ? &achieved : &failed, 1);
		session_close(session, false);
	}
	return NULL;
}

static const struct kind {
	const char *name;
	int (*prepare)(struct worker *worker);
	void *(*work)(void *worker);
} kinds[] = {
	{"full", NULL, work_full},
	{"resumed", prepare_ticket, work_resumed},
	{"requests", prepare_session, work_requests},
	{"hold", NULL, work_hold},
	{"refused", NULL, work_refused},
};

static void
wait_for_line(void)
{
	int c;
	do
		c = getchar();
	while (c != '\n' && c != EOF);
}

int
main(int argc, char **argv)
{
	const struct kind *kind = NULL;
	char text[256];
	if (argc < 8) {
		fprintf(stderr, "usage: %s HOST PORT CA CERTIFICATES VERSION WHAT COUNT [THREADS]\n", argv[0]);
		return 2;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, argv[6]) == 0)
			kind = &kinds[i];
	wanted = atol(argv[7]);
	int thread_count = argc > 8 ? atoi(argv[8]) : 1;
	server.sin_family = AF_INET;
	server.sin_port = htons((uint16_t) atoi(argv[2]));
	(void) snprintf(text, sizeof(text),
			"NORMAL:-VERS-ALL:+VERS-TLS%s:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:"
			"-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM",
			argv[5]);
	if (!kind || thread_count < 1 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 ||
	    gnutls_priority_init(&priorities, text, NULL) < 0 || identities_load(argv[4], argv[3]) < 0) {
		fprintf(stderr, "%s: bad arguments or certificates\n", argv[0]);
		return 2;
	}
	struct worker *workers = calloc((size_t) thread_count, sizeof(*workers));
	if (!workers)
		return 1;
	for (int i = 0; i < thread_count && kind->prepare; i++) {
		if (kind->prepare(&workers[i]) < 0) {
			fprintf(stderr, "%s: the server does not answer as it should\n", argv[0]);
			return 1;
		}
	}
	(void) signal(SIGPIPE, SIG_IGN);
	printf("ready\n");
	fflush(stdout);
	wait_for_line();
	double start = now();
	for (int i = 0; i < thread_count; i++)
		if (pthread_create(&workers[i].thread, NULL, kind->work, &workers[i]) != 0)
			return 1;
	for (int i = 0; i < thread_count; i++)
		(void) pthread_join(workers[i].thread, NULL);
	printf("done %ld %ld %.3f\n", atomic_load(&achieved), atomic_load(&failed), now() - start);
	fflush(stdout);
	wait_for_line();
	return 0;
}
