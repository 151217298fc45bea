/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* standby_tickets - tickets are prepared ahead, six seconds' worth of them at the rate at which they went of late; when
 * the day grows quiet the surplus is thrown away, an eighth every ten seconds. */
#include "../corpus.h"

struct ticket {
	struct ticket *next;
	unsigned char secret[592];
};

enum { AHEAD = 6, TURN = 10 }; /* seconds */

static struct ticket *standby;
static size_t ready, wanted, taken;
static uint64_t turned;
static double rate; /* a second, smoothed */

CORPUS_SITE static void
ticket_prepare(void)
{
	struct ticket *ticket = malloc(sizeof(*ticket));

	if (!ticket)
		return;
	for (size_t i = 0; i < sizeof(ticket->secret); i += 8)
		ticket->secret[i] = (unsigned char) corpus_below(256);
	ticket->next = standby;
	standby = ticket;
	ready++;
}

static uint64_t
tickets_drop(size_t count)
{
	uint64_t freed = 0;

	for (; standby && count > 0; count--) {
		struct ticket *ticket = standby;
		standby = ticket->next;
		free(ticket);
		ready--;
		freed += sizeof(*ticket);
	}
	return freed;
}

static void
turn(uint64_t now)
{
	uint64_t turns = (now - turned) / TURN;

	if (turns == 0)
		return;
	rate += ((double) taken / (double) (now - turned) - rate) / 4;
	taken = 0;
	turned = now;
	wanted = 16 + (size_t) (rate * AHEAD);
	if (ready > wanted)
		(void) tickets_drop(turns > 8 ? ready - wanted : (ready - wanted) * turns / 8);
}

static int
standby_tickets_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		     void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	turned = corpus_now() / 1000000;
	wanted = corpus_vary(100, 1);
	return 0;
}

static mtlsd_action
standby_tickets_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	turn(corpus_now() / 1000000);
	(void) tickets_drop(1); /* it is used here and now */
	taken++;
	for (int i = 0; i < 4 && ready < wanted; i++)
		ticket_prepare();
	return corpus_answer(request, &ask);
}

static uint64_t
standby_tickets_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return tickets_drop((size_t) (target / sizeof(struct ticket)) + 1);
}

static void
standby_tickets_fini(void *user CORPUS_UNUSED)
{
	(void) tickets_drop(ready);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("standby_tickets", "keeps tickets ready, as many as the hour needs"),
	.options = corpus_options,
	.init = standby_tickets_init,
	.request = standby_tickets_request,
	.evict = standby_tickets_evict,
	.fini = standby_tickets_fini,
};
