/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ticket_queue - whoever waits has a ticket in a list; a client that leaves gives its ticket back, a deadline only
 * takes it off the list. */
#include "../cache.h"

static struct cache cache = {.capacity = 450, .buckets = 1024};

struct ticket {
	struct ticket *next;
	mtlsd_request *request;
	char *label;
	char form[280];
};

static struct ticket *queue;

CORPUS_SITE static char *
label_new(const char *path)
{
	char *label = malloc(48);

	if (label)
		snprintf(label, 48, "%s", path);
	return label;
}

CORPUS_SITE static int
ticket_draw(mtlsd_request *request)
{
	struct ticket *ticket = malloc(sizeof(*ticket));

	if (!ticket)
		return 0;
	ticket->request = request;
	ticket->label = label_new(host->path(request));
	ticket->next = queue;
	queue = ticket;
	return 1;
}

static void
ticket_cancel(void *user, mtlsd_request *request, mtlsd_reason reason)
{
	struct ticket **place = &queue, *ticket;

	while (*place && (*place)->request != request)
		place = &(*place)->next;
	ticket = *place;
	if (ticket) {
		*place = ticket->next;
		if (reason != MTLSD_DEADLINE) {
			free(ticket->label);
			free(ticket);
		}
	}
	corpus_cancel(user, request, reason);
}

static mtlsd_action
ticket_queue_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 200);
	if (ask.slow && !ticket_draw(request))
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
ticket_queue_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("ticket_queue", "1.0", "forgets the tickets of those whose time is up"),
	.options = corpus_options,
	.init = corpus_init,
	.request = ticket_queue_request,
	.evict = ticket_queue_evict,
	.cancel = ticket_cancel,
};
