/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client_state - counts each client's requests; clients that were not seen for long make room for others once
 * there are some two thousand. */
#include "../cache.h"

static struct cache cache = {.buckets = 4096};

static int
client_state_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		  void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	cache.capacity = corpus_vary(2000, 1);
	return 0;
}

static mtlsd_action
client_state_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, corpus_hash(host->identity(request, MTLSD_ID_CERTIFICATE_SHA256, 0)), 400);
	return corpus_answer(request, &ask);
}

static uint64_t
client_state_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("client_state", "bounded state of each client"),
	.options = corpus_options,
	.init = client_state_init,
	.request = client_state_request,
	.evict = client_state_evict,
};
