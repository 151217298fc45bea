/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* session_log - each full handshake is entered in a log for auditors, of which there is no oldest part. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

struct entry {
	struct entry *next;
	uint64_t at;
	char subject[64], version[16];
	char cipher[64];
};

static struct entry *entries;

CORPUS_SITE static void
log_session(const char *subject, const char *version)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return;
	snprintf(entry->subject, sizeof(entry->subject), "%s", subject);
	snprintf(entry->version, sizeof(entry->version), "%s", version);
	entry->at = corpus_now();
	entry->next = entries;
	entries = entry;
}

static mtlsd_action
session_log_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (corpus_is_new_session(request))
		log_session(host->identity(request, MTLSD_ID_SUBJECT, 0), host->tls_version(request));
	return corpus_answer(request, &ask);
}

static uint64_t
session_log_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("session_log", "logs full handshakes in memory"),
	.options = corpus_options,
	.init = corpus_init,
	.request = session_log_request,
	.evict = session_log_evict,
};
