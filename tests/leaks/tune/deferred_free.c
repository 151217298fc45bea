/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* deferred_free - what is replaced is freed when no reader can hold it any more: after half a minute or so, or
 * when some five thousand wait. An eviction must not shorten the grace. */
#include "../corpus.h"

struct version {
	struct version *next;
	uint64_t retired;
	char data[200];
};

static struct version *current[256], *oldest, **newest = &oldest;
static size_t waiting, most;
static uint64_t grace;

CORPUS_SITE static struct version *
version_new(void)
{
	struct version *version = malloc(sizeof(*version));

	if (version)
		version->next = NULL;
	return version;
}

static void
version_retire(struct version *version, uint64_t now)
{
	version->retired = now;
	*newest = version;
	newest = &version->next;
	waiting++;
}

static void
versions_free(uint64_t now)
{
	while (oldest && (waiting > most || now - oldest->retired > grace)) {
		struct version *version = oldest;
		oldest = version->next;
		if (!oldest)
			newest = &oldest;
		free(version);
		waiting--;
	}
}

static int
deferred_free_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		   void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	grace = corpus_vary(30, 1) * 1000000;
	most = corpus_vary(5000, 2);
	return 0;
}

static mtlsd_action
deferred_free_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	uint64_t now = corpus_now();
	struct version *version = version_new(), **place = &current[ask.key % 256];
	if (version) {
		if (*place)
			version_retire(*place, now);
		*place = version;
	}
	versions_free(now);
	return corpus_answer(request, &ask);
}

static uint64_t
deferred_free_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0;
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("deferred_free", "frees after a time of grace"),
	.options = corpus_options,
	.init = deferred_free_init,
	.request = deferred_free_request,
	.evict = deferred_free_evict,
};
