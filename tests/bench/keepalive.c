/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* keepalive.c - a mutual-TLS load of keep-alive connections: how many requests a second a server answers.
 *
 * usage: keepalive HOST PORT PATH CA CERTIFICATE KEY CONNECTIONS SECONDS [RATE]
 * Each connection is a thread that asks, reads the whole answer and asks again. Prints "REQUESTS FAILURES SECONDS".
 * With RATE (requests a second, all connections together) each asks at set times instead, and " P50 P99" follow, in
 * microseconds from the set time, so that waiting for a late answer counts for all who had to wait. A connection whose
 * end an answer has announced is opened anew; one that ends unannounced is a failure.
 * With - for SECONDS all connections are opened first; then for each number read from standard input that many requests
 * are made and "REQUESTS FAILURES SECONDS" is printed, so that whoever measures the server looks at it in between.
 */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char *host, *port;
static char ask[512];
static gnutls_certificate_credentials_t credentials;
static atomic_bool running = true;
static atomic_ulong requests, failures, opened;
static double interval; /* nanoseconds between two requests of a connection; 0: at once */

enum { TAKEN_MOST = 1 << 21 };
static float taken[TAKEN_MOST]; /* microseconds, of the requests in the window */
static atomic_ulong taken_count;
static atomic_bool measuring;

/* Batches: how many requests of the one under way have not begun yet. */
static bool in_batches;
static atomic_long left;
static pthread_barrier_t batch_begins, batch_ends;

static double
now(void)
{
	struct timespec t;

	(void) clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

static void
wait_until(double due)
{
	struct timespec t = {.tv_sec = (time_t) (due / 1e9)};

	t.tv_nsec = (long) (due - (double) t.tv_sec * 1e9);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static void
note_taken(double due)
{
	if (!atomic_load(&measuring))
		return;
	unsigned long at = atomic_fetch_add(&taken_count, 1);
	if (at < TAKEN_MOST)
		taken[at] = (float) ((now() - due) / 1e3);
}

static int
compare_taken(const void *a, const void *b)
{
	float left = *(const float *) a, right = *(const float *) b;

	return (left > right) - (left < right);
}

static int
connection_open(gnutls_session_t *ret)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	gnutls_session_t session = NULL;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		return -EHOSTUNREACH;
	int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	int r = fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) < 0 ? -errno : 0;
	freeaddrinfo(found);
	if (r == 0) {
		(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		gnutls_init(&session, GNUTLS_CLIENT);
		gnutls_set_default_priority(session);
		gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
		gnutls_server_name_set(session, GNUTLS_NAME_DNS, "localhost", strlen("localhost"));
		gnutls_transport_set_int(session, fd);
		do
			r = gnutls_handshake(session);
		while (r < 0 && gnutls_error_is_fatal(r) == 0);
	}
	if (r < 0) {
		if (session)
			gnutls_deinit(session);
		if (fd >= 0)
			(void) close(fd);
		return r;
	}
	*ret = session;
	return 0;
}

static void
connection_close(gnutls_session_t session)
{
	(void) close(gnutls_transport_get_int(session));
	gnutls_deinit(session);
}

/* Reads one answer with Content-Length. 1: it is the connection's last. */
static int
answer_read(gnutls_session_t session, char *buffer, size_t size)
{
	size_t have = 0, want = 0;

	while (want == 0 || have < want) {
		ssize_t n = gnutls_record_recv(session, buffer + have, size - 1 - have);
		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			continue;
		if (n <= 0)
			return -EIO;
		have += (size_t) n;
		buffer[have] = '\0';
		const char *end = strstr(buffer, "\r\n\r\n"), *length = strcasestr(buffer, "content-length:");
		if (want == 0 && end && length)
			want = (size_t) (end + 4 - buffer) + strtoul(length + strlen("content-length:"), NULL, 10);
		if (want >= size)
			return -EMSGSIZE;
	}
	if (strncmp(buffer, "HTTP/1.1 200", 12) != 0)
		return -EPROTO;
	return strcasestr(buffer, "\nconnection: close\r") ? 1 : 0;
}

/* True: one more request is to be made. Waits between batches, with the connection open. */
static bool
is_wanted(void)
{
	while (in_batches && atomic_load(&running) && atomic_fetch_sub(&left, 1) <= 0) {
		(void) pthread_barrier_wait(&batch_ends);
		(void) pthread_barrier_wait(&batch_begins);
	}
	return atomic_load(&running);
}

static void *
connection_run(void *offset)
{
	gnutls_session_t session = NULL;
	char buffer[16384];
	double due = now() + *(double *) offset;
	bool begun = false;

	while (is_wanted()) {
		if (!session && connection_open(&session) < 0) {
			session = NULL;
			atomic_fetch_add(&failures, 1);
			continue;
		}
		if (!begun) {
			begun = true;
			atomic_fetch_add(&opened, 1);
			/* What was due while it was opened is not made up for: that would be a burst. */
			while (interval > 0 && due < now())
				due += interval;
		}
		if (interval > 0)
			wait_until(due);
		int last = gnutls_record_send(session, ask, strlen(ask)) < 0
				   ? -EIO
				   : answer_read(session, buffer, sizeof(buffer));
		if (last < 0) {
			atomic_fetch_add(&failures, 1);
			connection_close(session);
			session = NULL;
			continue;
		}
		atomic_fetch_add(&requests, 1);
		if (interval > 0)
			note_taken(due);
		if (last) {
			connection_close(session);
			session = NULL;
		}
		due += interval;
	}
	if (session)
		connection_close(session);
	return NULL;
}

static void
run_batches(void)
{
	char line[32];

	(void) pthread_barrier_wait(&batch_ends); /* every connection's thread is there */
	while (fflush(stdout) == 0 && fgets(line, sizeof(line), stdin)) {
		unsigned long before = atomic_load(&requests), failed = atomic_load(&failures);
		double began = now();
		atomic_store(&left, atol(line));
		(void) pthread_barrier_wait(&batch_begins);
		(void) pthread_barrier_wait(&batch_ends);
		printf("%lu %lu %.6f\n", atomic_load(&requests) - before, atomic_load(&failures) - failed,
		       (now() - began) / 1e9);
	}
	atomic_store(&running, false);
	(void) pthread_barrier_wait(&batch_begins);
}

static void
run_window(int connections, double seconds)
{
	const struct timespec window = {.tv_sec = (time_t) seconds,
					.tv_nsec = (long) ((seconds - (double) (time_t) seconds) * 1e9)};

	/* It opens when every connection is open and has had an answer on average. */
	while (atomic_load(&opened) + atomic_load(&failures) < (unsigned long) connections ||
	       atomic_load(&requests) + atomic_load(&failures) < (unsigned long) connections * 2)
		(void) sched_yield();
	atomic_store(&measuring, true);
	unsigned long before = atomic_load(&requests);
	double began = now();
	(void) nanosleep(&window, NULL);
	unsigned long after = atomic_load(&requests);
	atomic_store(&measuring, false);
	double ended = now();
	atomic_store(&running, false);
	printf("%lu %lu %.3f", after - before, atomic_load(&failures), (ended - began) / 1e9);
}

static void
print_taken(void)
{
	unsigned long count = atomic_load(&taken_count);

	count = count < TAKEN_MOST ? count : TAKEN_MOST;
	qsort(taken, count, sizeof(*taken), compare_taken);
	if (count > 0)
		printf(" %.1f %.1f", (double) taken[count / 2], (double) taken[count * 99 / 100]);
	printf("\n");
}

int
main(int argc, char **argv)
{
	if (argc != 9 && argc != 10) {
		fprintf(stderr, "usage: %s HOST PORT PATH CA CERTIFICATE KEY CONNECTIONS SECONDS [RATE]\n", argv[0]);
		return 2;
	}
	host = argv[1];
	port = argv[2];
	(void) snprintf(ask, sizeof(ask), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[3]);
	gnutls_certificate_allocate_credentials(&credentials);
	if (gnutls_certificate_set_x509_trust_file(credentials, argv[4], GNUTLS_X509_FMT_PEM) < 1 ||
	    gnutls_certificate_set_x509_key_file(credentials, argv[5], argv[6], GNUTLS_X509_FMT_PEM) < 0) {
		fprintf(stderr, "%s: the certificates cannot be read\n", argv[0]);
		return 1;
	}
	int connections = atoi(argv[7]);
	pthread_t *threads = calloc((size_t) (connections > 0 ? connections : 1), sizeof(*threads));
	double *offsets = calloc((size_t) (connections > 0 ? connections : 1), sizeof(*offsets));
	if (!threads || !offsets)
		return 1;
	if (argc == 10 && atof(argv[9]) > 0)
		interval = 1e9 * connections / atof(argv[9]);
	in_batches = strcmp(argv[8], "-") == 0;
	(void) pthread_barrier_init(&batch_begins, NULL, (unsigned) connections + 1);
	(void) pthread_barrier_init(&batch_ends, NULL, (unsigned) connections + 1);
	for (int i = 0; i < connections; i++) {
		offsets[i] = interval * i / connections;
		if (pthread_create(&threads[i], NULL, connection_run, &offsets[i]) != 0)
			return 1;
	}
	if (in_batches)
		run_batches();
	else
		run_window(connections, atof(argv[8]));
	for (int i = 0; i < connections; i++)
		(void) pthread_join(threads[i], NULL);
	if (!in_batches)
		print_taken();
	free(offsets);
	free(threads);
	gnutls_certificate_free_credentials(credentials);
	return 0;
}
