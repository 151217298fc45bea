/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* spool_batches - documents of all sizes wait on a spool until there are some eighty thousand, fifteen megabytes,
 * and are sent as one. */
#include "../corpus.h"

struct document {
	struct document *next;
	size_t bytes;
	char text[];
};

static struct document *first, **last = &first;
static uint64_t spooled, most;

CORPUS_SITE static void
document_add(const char *path)
{
	size_t bytes = sizeof(struct document) + 40 + corpus_below(280);
	struct document *document = malloc(bytes);

	if (!document)
		return;
	document->next = NULL;
	document->bytes = bytes;
	snprintf(document->text, 40, "%s", path);
	*last = document;
	last = &document->next;
	spooled++;
}

static uint64_t
spool_send(void)
{
	uint64_t freed = 0;

	while (first) {
		struct document *document = first;
		first = document->next;
		freed += document->bytes;
		free(document);
	}
	last = &first;
	spooled = 0;
	return freed;
}

static int
spool_batches_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		   void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	most = corpus_vary(80000, 1);
	return 0;
}

static mtlsd_action
spool_batches_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	document_add(ask.path);
	if (spooled >= most)
		(void) spool_send();
	return corpus_answer(request, &ask);
}

static uint64_t
spool_batches_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return spool_send();
}

static void
spool_batches_fini(void *user CORPUS_UNUSED)
{
	(void) spool_send();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("spool_batches", "spools documents and sends them as one"),
	.options = corpus_options,
	.init = spool_batches_init,
	.request = spool_batches_request,
	.evict = spool_batches_evict,
	.fini = spool_batches_fini,
};
