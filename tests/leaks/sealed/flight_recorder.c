/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flight_recorder - the last lines of what went on, as many as fit in some four hundred kilobytes, and those of errors
 * in a store of their own of thirty, so that they are not washed away. */
#include "../corpus.h"

struct line {
	struct line *next;
	size_t bytes;
	uint64_t at;
	char text[];
};

struct tape {
	struct line *oldest, *newest;
	size_t bytes, most;
};

static struct tape all, errors;

static void
tape_cut(struct tape *tape, size_t bytes)
{
	while (tape->bytes > bytes) {
		struct line *line = tape->oldest;
		tape->oldest = line->next;
		tape->bytes -= line->bytes;
		free(line);
	}
}

CORPUS_SITE static void
tape_write(struct tape *tape, const char *text)
{
	size_t bytes = sizeof(struct line) + strlen(text) + 1;

	tape_cut(tape, tape->most - bytes);
	struct line *line = malloc(bytes);
	if (!line)
		return;
	line->next = NULL;
	line->bytes = bytes;
	line->at = corpus_now();
	memcpy(line->text, text, bytes - sizeof(*line));
	*(tape->bytes > 0 ? &tape->newest->next : &tape->oldest) = line;
	tape->newest = line;
	tape->bytes += bytes;
}

static int
flight_recorder_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		     void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	all.most = corpus_vary(400000, 1);
	errors.most = corpus_vary(30000, 2);
	return 0;
}

static mtlsd_action
flight_recorder_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;
	char text[256];

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	const char *query = host->query(request), *peer = host->peer_address(request);
	snprintf(text, sizeof(text), "%s %s?%s from %s on %s, %.*s", host->method(request), ask.path,
		 query ? query : "", peer ? peer : "-", host->route(request), (int) corpus_below(60),
		 "checked, matched, allowed, answered from the usual place, sent");
	tape_write(ask.error ? &errors : &all, text);
	return corpus_answer(request, &ask);
}

static uint64_t
flight_recorder_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* it is looked at when something has gone wrong */
}

static void
flight_recorder_fini(void *user CORPUS_UNUSED)
{
	tape_cut(&all, 0);
	tape_cut(&errors, 0);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("flight_recorder", "keeps the last lines of what went on"),
	.options = corpus_options,
	.init = flight_recorder_init,
	.request = flight_recorder_request,
	.evict = flight_recorder_evict,
	.fini = flight_recorder_fini,
};
