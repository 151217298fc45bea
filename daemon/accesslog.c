/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "accesslog.h"

#include "cleanup.h"
#include "event.h"
#include "monotonic.h"
#include "stats.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BUFFER = 64 * 1024,      /* a stripe; doubled by the one being written out */
	TEXT_MAX = 1024,         /* of one text, longer ones are cut */
	GATHER = 10 * 1000,      /* microseconds the writer lets records gather */
	TELL = 60 * 1000 * 1000, /* microseconds between two complaints */
	SECOND = 1000 * 1000,
};

/* A record as it waits; its texts follow, each with its NUL, absent ones without. */
struct stored {
	uint32_t size;
	uint16_t present; /* bit: text */
	struct accesslog_entry entry;
};

struct stripe {
	pthread_mutex_t lock; /* guards the rest; held for copies only */
	char *buffer;
	size_t used;
	uint64_t dropped;
};

struct accesslog {
	atomic_bool on, query, stop;
	pthread_t thread;
	int wake;          /* eventfd */
	atomic_bool awake; /* the writer has been told */
	struct stripe stripes[STATS_STRIPES];
	char *spare; /* the writer's: put in the place of a full buffer */

	pthread_mutex_t target_lock; /* guards what follows: the writer's, but for a change of settings */
	int to, format;
	int64_t rate;
	int fd;
	char *path;
	uint64_t window, in_window; /* of the rate: the second and what it has had */
	uint64_t told, dropped_told;
	atomic_uint_fast64_t written, dropped;
};

/* --- gathering ---------------------------------------------------------------------------------------------------- */

static size_t
text_size(const char *text)
{
	return text ? strnlen(text, TEXT_MAX) + 1 : 0;
}

/* Room for the target: up to its query. */
static size_t
target_size(const struct accesslog *log, const char *target)
{
	size_t size = text_size(target);

	if (size == 0 || atomic_load_explicit(&log->query, memory_order_relaxed))
		return size;
	const char *query = memchr(target, '?', size - 1);
	return query ? (size_t) (query - target) + 1 : size;
}

static void
stored_put(char *at, const struct accesslog_entry *entry, const size_t *sizes, size_t size)
{
	struct stored stored = {.size = (uint32_t) size, .entry = *entry};
	char *text = at + sizeof(stored);

	for (int i = 0; i < ACCESSLOG_TEXTS; i++) {
		if (sizes[i] == 0)
			continue;
		stored.present |= (uint16_t) (1U << i);
		memcpy(text, entry->text[i], sizes[i] - 1);
		text[sizes[i] - 1] = '\0';
		text += sizes[i];
	}
	memcpy(at, &stored, sizeof(stored));
}

/* The entry at a place of a buffer; its texts point into the buffer. Returns its size. */
static size_t
stored_get(const char *at, struct accesslog_entry *ret)
{
	struct stored stored;
	const char *text = at + sizeof(stored);

	memcpy(&stored, at, sizeof(stored));
	*ret = stored.entry;
	for (int i = 0; i < ACCESSLOG_TEXTS; i++) {
		ret->text[i] = NULL;
		if (!(stored.present & 1U << i))
			continue;
		ret->text[i] = text;
		text += strlen(text) + 1;
	}
	return stored.size;
}

static void
writer_wake(struct accesslog *log)
{
	uint64_t one = 1;

	if (!atomic_exchange(&log->awake, true))
		(void) !write(log->wake, &one, sizeof(one));
}

void
accesslog_write(struct accesslog *log, const struct accesslog_entry *entry)
{
	struct stripe *stripe = &log->stripes[stats_stripe()];
	size_t sizes[ACCESSLOG_TEXTS], size = sizeof(struct stored);

	for (int i = 0; i < ACCESSLOG_TEXTS; i++) {
		sizes[i] = i == ACCESSLOG_TARGET ? target_size(log, entry->text[i]) : text_size(entry->text[i]);
		size += sizes[i];
	}
	pthread_mutex_lock(&stripe->lock);
	if (stripe->used + size <= BUFFER) {
		stored_put(stripe->buffer + stripe->used, entry, sizes, size);
		stripe->used += size;
	} else {
		stripe->dropped++;
	}
	pthread_mutex_unlock(&stripe->lock);
	writer_wake(log);
}

bool
accesslog_is_on(const struct accesslog *log)
{
	return log && atomic_load_explicit(&log->on, memory_order_relaxed);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* With target_lock held. False: more than the rate allows in this second. */
static bool
rate_admits(struct accesslog *log)
{
	uint64_t second = monotonic_now() / SECOND;

	if (log->rate == 0)
		return true;
	if (second != log->window) {
		log->window = second;
		log->in_window = 0;
	}
	return log->in_window++ < (uint64_t) log->rate;
}

/* A full disk may take half a line: the rest is tried once more. */
static bool
line_write(int fd, const char *line, size_t length)
{
	ssize_t n = write(fd, line, length);

	if (n >= 0 && (size_t) n < length) {
		ssize_t rest = write(fd, line + n, length - (size_t) n);
		n = rest == (ssize_t) (length - (size_t) n) ? (ssize_t) length : -1;
	}
	return n == (ssize_t) length;
}

static bool
entry_write(struct accesslog *log, const struct accesslog_entry *entry)
{
	CLEANUP_FREE char *line = NULL;
	size_t length = 0;

	if (!rate_admits(log))
		return false;
	if (log->to == CONFIG_ACCESS_LOG_JOURNAL) {
		accesslog_journal(entry);
		return true;
	}
	int r = log->format == CONFIG_ACCESS_LOG_JSON ? accesslog_json(entry, &line, &length)
						      : accesslog_combined(entry, &line, &length);
	return r == 0 && line_write(log->fd, line, length);
}

static void
buffer_write(struct accesslog *log, const char *buffer, size_t used)
{
	struct accesslog_entry entry;

	pthread_mutex_lock(&log->target_lock);
	for (size_t at = 0; at < used;) {
		at += stored_get(buffer + at, &entry);
		if (log->to == CONFIG_ACCESS_LOG_OFF)
			continue;
		if (entry_write(log, &entry))
			atomic_fetch_add(&log->written, 1);
		else
			atomic_fetch_add(&log->dropped, 1);
	}
	pthread_mutex_unlock(&log->target_lock);
}

/* Takes each stripe's buffer, leaving an empty one. */
static void
writer_drain(struct accesslog *log)
{
	for (size_t i = 0; i < STATS_STRIPES; i++) {
		struct stripe *stripe = &log->stripes[i];

		pthread_mutex_lock(&stripe->lock);
		char *full = stripe->buffer;
		size_t used = stripe->used;
		stripe->buffer = log->spare;
		stripe->used = 0;
		atomic_fetch_add(&log->dropped, stripe->dropped);
		stripe->dropped = 0;
		pthread_mutex_unlock(&stripe->lock);
		buffer_write(log, full, used);
		log->spare = full;
	}
}

static void
writer_tell(struct accesslog *log)
{
	uint64_t now = monotonic_now(), dropped = atomic_load(&log->dropped);

	if (dropped == log->dropped_told || (log->told != 0 && now - log->told < TELL))
		return;
	event_log(EVENT_RECORDS_LOST, NULL,
		  "access log: %" PRIu64 " records were not written (too fast, or %s cannot be written)",
		  dropped - log->dropped_told, log->path ? log->path : "the journal");
	log->told = now;
	log->dropped_told = dropped;
}

static void *
writer_run(void *argument)
{
	struct accesslog *log = argument;

	pthread_setname_np(pthread_self(), "mtlsd-access");
	while (!atomic_load(&log->stop)) {
		struct pollfd ready = {.fd = log->wake, .events = POLLIN};
		uint64_t count;

		(void) poll(&ready, 1, -1);
		(void) !read(log->wake, &count, sizeof(count));
		(void) usleep(GATHER);
		atomic_store(&log->awake, false);
		writer_drain(log);
		writer_tell(log);
	}
	writer_drain(log);
	return NULL;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

int
accesslog_new(struct accesslog **ret)
{
	CLEANUP(accesslog_free) struct accesslog *log = calloc(1, sizeof(*log));

	if (!log)
		return -ENOMEM;
	log->fd = -1;
	log->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&log->target_lock, NULL);
	for (size_t i = 0; i < STATS_STRIPES; i++)
		pthread_mutex_init(&log->stripes[i].lock, NULL);
	if (log->wake < 0)
		return -errno;
	*ret = STEAL(log);
	return 0;
}

static int
buffers_make(struct accesslog *log)
{
	for (size_t i = 0; i < STATS_STRIPES; i++)
		if (!log->stripes[i].buffer && !(log->stripes[i].buffer = malloc(BUFFER)))
			return -ENOMEM;
	if (!log->spare && !(log->spare = malloc(BUFFER)))
		return -ENOMEM;
	return 0;
}

static int
writer_start(struct accesslog *log, struct error *error)
{
	if (log->thread)
		return 0;
	int r = buffers_make(log);
	if (r == 0)
		r = -pthread_create(&log->thread, NULL, writer_run, log);
	return r < 0 ? error_set(error, r, "the access log cannot start: %s", strerror(-r)) : 0;
}

static int
file_open(const char *path, int *ret, struct error *error)
{
	/* Whoever may read a directory may have put a FIFO there: opening must not wait for its reader. */
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

	if (fd < 0)
		return error_set(error, -errno, "the access log %s cannot be opened: %s", path, strerror(errno));
	*ret = fd;
	return 0;
}

int
accesslog_apply(struct accesslog *log, const struct config_access_log *settings, struct error *error)
{
	CLEANUP_FREE char *path = NULL;
	int fd = -1, r = 0;

	if (settings->to == CONFIG_ACCESS_LOG_FILE) {
		path = strdup(settings->path);
		r = path ? file_open(path, &fd, error) : error_set(error, -ENOMEM, "out of memory");
	}
	if (r == 0 && settings->to != CONFIG_ACCESS_LOG_OFF)
		r = writer_start(log, error);
	if (r < 0) {
		if (fd >= 0)
			(void) close(fd);
		return r;
	}
	pthread_mutex_lock(&log->target_lock);
	int before = log->fd;
	char *path_before = log->path;
	log->to = settings->to;
	log->format = settings->format;
	log->rate = settings->rate;
	log->fd = fd;
	log->path = STEAL(path);
	pthread_mutex_unlock(&log->target_lock);
	atomic_store(&log->query, settings->query);
	atomic_store(&log->on, settings->to != CONFIG_ACCESS_LOG_OFF);
	if (before >= 0)
		(void) close(before);
	free(path_before);
	return 0;
}

void
accesslog_counts(const struct accesslog *log, struct accesslog_counts *ret)
{
	ret->written = atomic_load(&log->written);
	ret->dropped = atomic_load(&log->dropped);
}

void
accesslog_free(struct accesslog **logp)
{
	struct accesslog *log = *logp;

	if (!log)
		return;
	*logp = NULL;
	atomic_store(&log->on, false);
	atomic_store(&log->stop, true);
	if (log->thread) {
		atomic_store(&log->awake, false);
		writer_wake(log);
		(void) pthread_join(log->thread, NULL);
	}
	for (size_t i = 0; i < STATS_STRIPES; i++) {
		free(log->stripes[i].buffer);
		pthread_mutex_destroy(&log->stripes[i].lock);
	}
	free(log->spare);
	if (log->fd >= 0)
		(void) close(log->fd);
	if (log->wake >= 0)
		(void) close(log->wake);
	pthread_mutex_destroy(&log->target_lock);
	free(log->path);
	free(log);
}
