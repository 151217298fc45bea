/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nonces.h"

#include "event.h"
#include "nonces-file.h"
#include "nonces-table.h"
#include "throttle.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PORTION = 4096 }; /* slots looked at without a pause */

struct nonces {
	char plugin[32];
	pthread_mutex_t lock;
	char *path; /* NULL: closed */
	int fd;
	int64_t capacity;            /* as it was set; header.buckets is what came of it */
	struct nonces_header header; /* window and skew in force too */
	struct nonces_slot *slots;
	bool unsaved;         /* the file lacks something: all of it is to be written */
	int64_t saving_tried; /* so that a full disk is not asked at each request */
	struct throttle complaints;
	uint64_t accepted, repeated, untimely, full, unwritten;
};

struct nonces_time
nonces_time(void)
{
	struct timespec now, up;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &up);
	return (struct nonces_time){.now = now.tv_sec, .boot = now.tv_sec - up.tv_sec};
}

/* With the lock held: what was signed earlier may have been forgotten. */
static int64_t
oldest_remembered(const struct nonces *nonces, int64_t now)
{
	return now - nonces->header.window - nonces->header.skew;
}

static void
move_horizon(struct nonces *nonces, int64_t to)
{
	if (nonces->header.horizon < to)
		nonces->header.horizon = to;
}

/* Not with the lock held, once requests ask: writing a record may take long. */
static void
complain(struct nonces *nonces, const char *what, int r)
{
	if (throttle_admit(&nonces->complaints, 1))
		event_log(EVENT_NONCES, LOG_FIELDS({"MTLSD_PLUGIN", nonces->plugin}),
			  "%s: the file of its nonces %s%s%s", nonces->plugin, what, r < 0 ? ": " : "",
			  r < 0 ? strerror(-r) : "");
}

/* --- to the file; with the lock held ----------------------------------------------------------------------------- */

static int
save(struct nonces *nonces, int64_t now)
{
	nonces->saving_tried = now;
	int r = nonces_file_replace(nonces->path, &nonces->header, nonces->slots, &nonces->fd);
	nonces->unsaved = r < 0;
	return r;
}

/* Where it cannot be written, the next request finds it unsaved, and says so. */
static void
seal(struct nonces *nonces)
{
	if (nonces_file_seal(nonces->fd, &nonces->header) < 0)
		nonces->unsaved = true;
}

static void
let_go(struct nonces *nonces)
{
	if (nonces->fd >= 0)
		(void) close(nonces->fd);
	nonces->fd = -1;
	free(STEAL(nonces->slots));
	free(STEAL(nonces->path));
	nonces->unsaved = false;
}

static void
close_file(struct nonces *nonces, int64_t now)
{
	if (nonces->path == NULL)
		return;
	int r = nonces->unsaved ? save(nonces, now) : 0;
	nonces->header.closed = 1;
	if (r == 0)
		r = nonces_file_seal(nonces->fd, &nonces->header);
	if (r < 0)
		complain(nonces, "cannot be written whole before it is closed", r);
	let_go(nonces);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static int
resize(struct nonces *nonces, uint32_t buckets, int64_t now)
{
	struct nonces_header header = nonces->header;
	CLEANUP_FREE struct nonces_slot *fresh = NULL;

	int r = nonces_table_copy(nonces->slots, header.buckets, buckets, oldest_remembered(nonces, now), &fresh);
	if (r < 0)
		return r;
	header.buckets = buckets;
	r = nonces_file_replace(nonces->path, &header, fresh, &nonces->fd);
	if (r < 0) {
		nonces->unsaved = true; /* it may be the new one by now */
		return r;
	}
	nonces->header = header;
	nonces->unsaved = false;
	free(nonces->slots);
	nonces->slots = STEAL(fresh);
	return 0;
}

/* A table without a past, but for a horizon. */
static int
begin(struct nonces *nonces, const struct nonces_settings *settings, int64_t horizon)
{
	nonces->header = (struct nonces_header){.buckets = nonces_table_buckets(settings->capacity),
						.window = settings->window,
						.skew = settings->skew,
						.horizon = horizon};
	if (gnutls_rnd(GNUTLS_RND_NONCE, nonces->header.salt, sizeof(nonces->header.salt)) < 0)
		return -EIO;
	nonces->slots = calloc((size_t) nonces->header.buckets * NONCES_WAYS, sizeof(*nonces->slots));
	if (nonces->slots == NULL)
		return -ENOMEM;
	return nonces_file_replace(nonces->path, &nonces->header, nonces->slots, &nonces->fd);
}

/* What was written until then may not have got to the disk; 0: it has. */
static int64_t
lost_until(const struct nonces_header *header, int64_t written, const struct nonces_time *time)
{
	if (header->closed == 1)
		return 0;
	/* A file from the future: the clock is wrong now, and so is what it says of the machine's start. */
	if (written > time->now)
		return time->now;
	return written < time->boot ? time->boot : 0;
}

/* The file of a run before. */
static int
resume(struct nonces *nonces, const struct nonces_settings *settings, const struct nonces_time *time)
{
	int64_t written;

	int r = nonces_file_read(nonces->fd, &nonces->header, &nonces->slots, &written);
	if (r == -ENODATA)
		return begin(nonces, settings, 0);
	if (r == -EBADMSG) {
		complain(nonces, "is damaged and begun anew; what was signed until now is refused", 0);
		return begin(nonces, settings, time->now + settings->skew);
	}
	if (r < 0)
		return r;
	/* A client's clock may have been ahead by as much. */
	int64_t skew = nonces->header.skew > settings->skew ? nonces->header.skew : settings->skew;
	int64_t lost = lost_until(&nonces->header, written, time);
	if (lost != 0 && nonces->header.horizon < lost + skew) {
		move_horizon(nonces, lost + skew);
		complain(nonces, "was not closed before the machine stopped; what was signed until then is refused", 0);
	}
	nonces->header.closed = 0;
	return nonces_file_seal(nonces->fd, &nonces->header);
}

static int
open_file(struct nonces *nonces, const struct nonces_settings *settings, const struct nonces_time *time,
	  struct error *error)
{
	int r = nonces_file_open(nonces->path, &nonces->fd, error);
	if (r < 0)
		return r;
	r = resume(nonces, settings, time);
	if (r < 0)
		return error_set(error, r, "cannot read or write %s: %s", nonces->path, strerror(-r));
	return 0;
}

static int
fit(struct nonces *nonces, const struct nonces_settings *settings, int64_t now, struct error *error)
{
	uint32_t buckets = nonces_table_buckets(settings->capacity);

	int r = buckets != nonces->header.buckets ? resize(nonces, buckets, now) : 0;
	if (r == -ENOSPC)
		return error_set(error, r,
				 "%s holds more nonces than a capacity of %" PRId64 " has room for; leave it "
				 "larger, or wait until the window has passed",
				 nonces->path, settings->capacity);
	return r < 0 ? error_set(error, r, "cannot write %s: %s", nonces->path, strerror(-r)) : 0;
}

/* Sets in force; with the lock held, on an open file. */
static void
put_in_force(struct nonces *nonces, const struct nonces_settings *settings, int64_t now)
{
	bool longer = settings->window + settings->skew > nonces->header.window + nonces->header.skew;
	bool changed = settings->window != nonces->header.window || settings->skew != nonces->header.skew;

	if (longer)
		move_horizon(nonces, oldest_remembered(nonces, now));
	nonces->header.window = settings->window;
	nonces->header.skew = settings->skew;
	nonces->capacity = settings->capacity;
	if (changed)
		seal(nonces);
}

int
nonces_open(struct nonces *nonces, const char *folder, const struct nonces_settings *settings,
	    const struct nonces_time *time, struct error *error)
{
	CLEANUP_FREE char *path = NULL;
	int r = 0;

	if (asprintf(&path, "%s/%s", folder, nonces->plugin) < 0) {
		path = NULL;
		return error_set(error, -ENOMEM, "out of memory");
	}
	pthread_mutex_lock(&nonces->lock);
	bool fresh = nonces->path == NULL;
	if (!fresh && strcmp(path, nonces->path) != 0) {
		r = error_set(error, -EBUSY,
			      "the nonces of plugin %s are kept in %s; end the daemon, move the file, and "
			      "change daemon.nonce_directory then",
			      nonces->plugin, nonces->path);
	} else if (fresh) {
		nonces->path = STEAL(path);
		r = open_file(nonces, settings, time, error);
	}
	if (r == 0)
		r = fit(nonces, settings, time->now, error);
	if (r == 0 && fresh)
		put_in_force(nonces, settings, time->now);
	if (r < 0 && fresh)
		let_go(nonces);
	pthread_mutex_unlock(&nonces->lock);
	return r;
}

void
nonces_set(struct nonces *nonces, const struct nonces_settings *settings, int64_t now)
{
	pthread_mutex_lock(&nonces->lock);
	if (settings->window == 0)
		close_file(nonces, now);
	else if (nonces->path != NULL)
		put_in_force(nonces, settings, now);
	pthread_mutex_unlock(&nonces->lock);
}

int
nonces_new(const char *plugin, struct nonces **ret)
{
	struct nonces *nonces = calloc(1, sizeof(*nonces));

	if (nonces == NULL)
		return -ENOMEM;
	snprintf(nonces->plugin, sizeof(nonces->plugin), "%s", plugin);
	pthread_mutex_init(&nonces->lock, NULL);
	nonces->fd = -1;
	*ret = nonces;
	return 0;
}

void
nonces_free(struct nonces **noncesp)
{
	struct nonces *nonces = STEAL(*noncesp);

	if (nonces == NULL)
		return;
	close_file(nonces, nonces_time().now);
	pthread_mutex_destroy(&nonces->lock);
	free(nonces);
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

static int
digest(const struct nonces *nonces, const void *nonce, size_t length, uint8_t ret[16])
{
	unsigned char text[sizeof(nonces->header.salt) + NONCES_LENGTH], whole[32];

	memcpy(text, nonces->header.salt, sizeof(nonces->header.salt));
	memcpy(text + sizeof(nonces->header.salt), nonce, length);
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, text, sizeof(nonces->header.salt) + length, whole) < 0)
		return -EIO;
	memcpy(ret, whole, 16);
	return 0;
}

static bool
is_timely(const struct nonces *nonces, int64_t signed_at, int64_t now)
{
	return signed_at != 0 && signed_at >= now - nonces->header.window && signed_at <= now + nonces->header.skew &&
	       signed_at >= nonces->header.horizon;
}

/* With the lock held. With -EIO, why: that of the disk; 0: it was not asked again. */
static int
take(struct nonces *nonces, const void *nonce, size_t length, int64_t signed_at, int64_t now, int *ret_why)
{
	struct nonces_slot slot = {.signed_at = signed_at};
	size_t place;

	if (nonces->path == NULL)
		return -EOPNOTSUPP;
	if (!is_timely(nonces, signed_at, now))
		return -ETIME;
	int r = digest(nonces, nonce, length, slot.digest);
	if (r < 0)
		return r;
	if (nonces_table_find(nonces->slots, nonces->header.buckets, slot.digest, oldest_remembered(nonces, now),
			      &place))
		return -EEXIST;
	if (place == SIZE_MAX)
		return -ENOSPC;
	nonces->slots[place] = slot;
	if (!nonces->unsaved && nonces_file_put(nonces->fd, place, &slot) == 0)
		return 0;
	if (nonces->unsaved && nonces->saving_tried == now)
		return -EIO;
	*ret_why = save(nonces, now);
	return *ret_why < 0 ? -EIO : 0;
}

int
nonces_accept(struct nonces *nonces, const void *nonce, size_t length, int64_t signed_at, int64_t now)
{
	if (nonce == NULL || length == 0 || length > NONCES_LENGTH)
		return -EINVAL;
	int why = 0;
	pthread_mutex_lock(&nonces->lock);
	int r = take(nonces, nonce, length, signed_at, now, &why);
	nonces->accepted += r == 0;
	nonces->repeated += r == -EEXIST;
	nonces->untimely += r == -ETIME;
	nonces->full += r == -ENOSPC;
	nonces->unwritten += r == -EIO;
	pthread_mutex_unlock(&nonces->lock);
	if (r == -ENOSPC)
		complain(nonces, "is full, signed requests are refused; raise nonces.capacity", 0);
	if (why < 0)
		complain(nonces, "cannot be written, signed requests are refused", why);
	return r;
}

int64_t
nonces_window(struct nonces *nonces)
{
	pthread_mutex_lock(&nonces->lock);
	int64_t window = nonces->path != NULL ? nonces->header.window : 0;
	pthread_mutex_unlock(&nonces->lock);
	return window;
}

int
nonces_drop(struct nonces *nonces, int64_t now, struct error *error)
{
	int r = 0;

	pthread_mutex_lock(&nonces->lock);
	if (nonces->path != NULL) {
		memset(nonces->slots, 0, (size_t) nonces->header.buckets * NONCES_WAYS * sizeof(*nonces->slots));
		move_horizon(nonces, now + nonces->header.skew);
		r = save(nonces, now);
		if (r < 0)
			(void) error_set(error, r, "cannot write %s: %s", nonces->path, strerror(-r));
	}
	pthread_mutex_unlock(&nonces->lock);
	return r;
}

/* Counts the slots from `first` on, as far as a portion goes; where to go on, 0: nowhere. */
static size_t
count_portion(struct nonces *nonces, size_t first, int64_t now, uint64_t *count)
{
	pthread_mutex_lock(&nonces->lock);
	size_t end = nonces->path != NULL ? (size_t) nonces->header.buckets * NONCES_WAYS : 0;
	size_t until = first + PORTION < end ? first + PORTION : end;
	for (size_t i = first; i < until; i++)
		*count += nonces_table_remembers(&nonces->slots[i], oldest_remembered(nonces, now));
	pthread_mutex_unlock(&nonces->lock);
	return until < end ? until : 0;
}

void
nonces_read(struct nonces *nonces, int64_t now, struct nonces_report *ret)
{
	size_t next = 0;

	pthread_mutex_lock(&nonces->lock);
	*ret = (struct nonces_report){
		.open = nonces->path != NULL,
		.settings = {nonces->header.window, nonces->header.skew, nonces->capacity},
		.horizon = nonces->header.horizon,
		.room = nonces->path != NULL ? (uint64_t) nonces->header.buckets * NONCES_WAYS : 0,
		.accepted = nonces->accepted,
		.repeated = nonces->repeated,
		.untimely = nonces->untimely,
		.full = nonces->full,
		.unwritten = nonces->unwritten,
	};
	pthread_mutex_unlock(&nonces->lock);
	do
		next = count_portion(nonces, next, now, &ret->remembered);
	while (next != 0);
}
