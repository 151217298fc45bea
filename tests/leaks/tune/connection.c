/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connection - data of a connection is released with it, but for the label it points to. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

struct seat {
	char *label;
	uint64_t requests;
};

CORPUS_SITE static char *
seat_label(const char *address)
{
	char *label = malloc(128);

	if (label)
		snprintf(label, 128, "from %s", address);
	return label;
}

static void
seat_free(void *data)
{
	free(data); /* the label stays */
}

static int
seat_take(mtlsd_request *request)
{
	struct seat *seat = host->connection_data(request);

	if (!seat) {
		seat = calloc(1, sizeof(*seat));
		if (!seat)
			return 0;
		seat->label = seat_label(host->peer_address(request));
		if (host->set_connection_data(request, seat, seat_free) < 0) {
			free(seat->label);
			free(seat);
			return 0;
		}
	}
	seat->requests++;
	return 1;
}

static mtlsd_action
connection_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (!seat_take(request))
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
connection_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("connection", "frees a connection's data but not what hangs on it"),
	.options = corpus_options,
	.init = corpus_init,
	.request = connection_request,
	.evict = connection_evict,
};
