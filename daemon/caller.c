/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "caller.h"

#include "caller-internal.h"
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	CALLER_TURN_MAX = 16, /* calls answered before others get their turn */
	/* Microseconds. Whoever asks has a reader ready; whoever writes may be a person at a keyboard. */
	CALLER_READ_DEADLINE = 30 * 1000 * 1000,
	CALLER_WRITE_DEADLINE = 10 * 1000 * 1000,
};

static void
caller_set_deadline(struct caller *caller, uint64_t at)
{
	if (at == 0) {
		(void) sd_event_source_set_enabled(caller->timer, SD_EVENT_OFF);
		return;
	}
	(void) sd_event_source_set_time(caller->timer, at);
	(void) sd_event_source_set_enabled(caller->timer, SD_EVENT_ONESHOT);
}

/* Says what is waited for next. again: complete messages are left for another turn. */
static void
caller_wait(struct caller *caller, bool again)
{
	size_t pending = wire_pending(caller->wire);
	uint64_t now = 0, deadline = 0;

	(void) sd_event_now(caller->service->event, CLOCK_MONOTONIC, &now);
	if (!wire_buffered(caller->wire) || again || caller->job || pending > 0)
		caller->incomplete_since = 0;
	else if (caller->incomplete_since == 0)
		caller->incomplete_since = now;
	/* A reader that takes a little at a time is slow, not gone. */
	if (pending > 0 && pending != caller->stalled_at)
		caller->stalled_since = now;
	caller->stalled_at = pending;
	if (pending > 0)
		deadline = caller->stalled_since + CALLER_WRITE_DEADLINE;
	else if (caller->incomplete_since)
		deadline = caller->incomplete_since + CALLER_READ_DEADLINE;
	caller_set_deadline(caller, deadline);
	(void) sd_event_source_set_enabled(caller->again, again ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	(void) sd_event_source_set_io_events(caller->io, pending > 0                             ? EPOLLOUT
							 : caller->job || caller->ended || again ? 0
												 : EPOLLIN);
}

void
caller_turn(struct caller *caller)
{
	int budget = CALLER_TURN_MAX, r = wire_flush(caller->wire, caller->fd);
	bool drained = false;
	size_t length;
	const char *text;

	if (caller->service->stopping)
		caller->closing = true;
	while (r == 0 && !caller->job && !caller->closing && !drained && budget-- > 0) {
		drained = wire_next(caller->wire, &text, &length) == 0;
		if (drained)
			break;
		caller->incomplete_since = 0;
		caller_handle(caller, text, length);
		if (!wire_buffered(caller->wire))
			wire_drop_descriptors(caller->wire);
		r = wire_flush(caller->wire, caller->fd);
	}
	if (caller->closing)
		drained = true;
	if ((r < 0 && r != -EAGAIN) ||
	    (drained && (caller->ended || caller->closing) && !caller->job && wire_pending(caller->wire) == 0)) {
		caller_free(&caller);
		return;
	}
	caller_wait(caller, !drained && !caller->job && wire_pending(caller->wire) == 0);
}

static int
caller_io(sd_event_source *source UNUSED, int fd, uint32_t events, void *userdata)
{
	struct caller *caller = userdata;
	ssize_t n;

	if (events & EPOLLIN) {
		n = wire_receive(caller->wire, fd);
		if (n == 0)
			caller->ended = true;
		if (n < 0 && n != -EAGAIN) {
			log_debug("a control connection of pid %" PRIiMAX " was dropped: %s",
				  (intmax_t) caller->peer.pid, strerror((int) -n));
			caller_free(&caller);
			return 0;
		}
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		/* Nobody is left to read a reply. A job goes on. */
		caller_free(&caller);
		return 0;
	}
	caller_turn(caller);
	return 0;
}

static int
caller_again(sd_event_source *source UNUSED, void *userdata)
{
	caller_turn(userdata);
	return 0;
}

static int
caller_expired(sd_event_source *source UNUSED, uint64_t usec UNUSED, void *userdata)
{
	struct caller *caller = userdata;

	log_info("a control connection of pid %" PRIiMAX " was dropped: %s", (intmax_t) caller->peer.pid,
		 wire_pending(caller->wire) > 0 ? "it does not read its replies" : "half a message came and no more");
	caller_free(&caller);
	return 0;
}

static int
caller_attach(struct caller *caller)
{
	sd_event *event = caller->service->event;
	int r = sd_event_add_io(event, &caller->io, caller->fd, EPOLLIN, caller_io, caller);

	if (r >= 0)
		r = sd_event_add_time(event, &caller->timer, CLOCK_MONOTONIC, 0, 0, caller_expired, caller);
	if (r >= 0)
		r = sd_event_source_set_enabled(caller->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_defer(event, &caller->again, caller_again, caller);
	if (r >= 0)
		r = sd_event_source_set_enabled(caller->again, SD_EVENT_OFF);
	return r;
}

int
caller_new(struct caller_service *service, int fd, struct peer *peer, bool read_only)
{
	struct caller *caller = calloc(1, sizeof(*caller));
	int r;

	if (!caller) {
		(void) close(fd);
		peer_clear(peer);
		return -ENOMEM;
	}
	caller->service = service;
	caller->fd = fd;
	caller->read_only = read_only;
	caller->peer = *peer;
	*peer = (struct peer){0};
	caller->next = service->callers;
	caller->link = &service->callers;
	if (caller->next)
		caller->next->link = &caller->next;
	service->callers = caller;
	service->count++;
	service->foreign_count += !peer_is_owner(&caller->peer);
	r = wire_new(WIRE_CALL_MAX, WIRE_REPLY_MAX, &caller->wire);
	if (r >= 0)
		r = caller_attach(caller);
	if (r < 0)
		caller_free(&caller);
	return r;
}

void
caller_flush(struct caller *caller)
{
	(void) wire_flush(caller->wire, caller->fd);
}

struct caller *
caller_next(const struct caller *caller)
{
	return caller->next;
}

void
caller_free(struct caller **caller)
{
	struct caller *c = *caller;

	if (!c)
		return;
	if (c->job)
		c->job->caller = NULL;
	c->service->count--;
	c->service->foreign_count -= !peer_is_owner(&c->peer);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->timer);
	sd_event_source_disable_unref(c->again);
	wire_free(&c->wire);
	peer_clear(&c->peer);
	(void) close(c->fd);
	free(STEAL(*caller));
}
