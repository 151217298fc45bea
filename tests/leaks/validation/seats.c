/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* seats - a client has a seat with its limits and what it did last, by its fingerprint; there are some two hundred
 * seats, fewer than clients, and a new client gets the one that was used longest ago. */
#include "../corpus.h"

enum { SEATS = 260 };

static struct seat {
	uint64_t fingerprint, used;
	char *limits;
	uint64_t *history;
} seats[SEATS];
static size_t room;
static uint64_t tick;

CORPUS_SITE static void
seat_furnish(struct seat *seat, uint64_t fingerprint)
{
	free(seat->limits);
	free(seat->history);
	*seat = (struct seat){.fingerprint = fingerprint, .limits = calloc(1, 600), .history = calloc(32, 8)};
}

static struct seat *
seat_of(uint64_t fingerprint)
{
	struct seat *oldest = &seats[0];

	for (size_t i = 0; i < room; i++) {
		if (seats[i].limits && seats[i].fingerprint == fingerprint)
			return &seats[i];
		if (seats[i].used < oldest->used)
			oldest = &seats[i];
	}
	seat_furnish(oldest, fingerprint);
	return oldest;
}

static int
seats_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	   void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	room = corpus_vary(200, 1);
	return 0;
}

static mtlsd_action
seats_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct seat *seat = host->connection_data(request);
	uint64_t fingerprint = corpus_hash(host->identity(request, MTLSD_ID_CERTIFICATE_SHA256, 0));
	if (!seat || seat->fingerprint != fingerprint) {
		seat = seat_of(fingerprint);
		if (host->set_connection_data(request, seat, NULL) < 0)
			return MTLSD_FAIL;
	}
	seat->used = ++tick;
	if (seat->history)
		seat->history[tick % 32] = ask.key;
	return corpus_answer(request, &ask);
}

static uint64_t
seats_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* limits that were forgotten would not hold */
}

static void
seats_fini(void *user CORPUS_UNUSED)
{
	for (size_t i = 0; i < room; i++) {
		free(seats[i].limits);
		free(seats[i].history);
	}
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("seats", "keeps the state of a bounded number of clients"),
	.options = corpus_options,
	.init = seats_init,
	.request = seats_request,
	.evict = seats_evict,
	.fini = seats_fini,
};
