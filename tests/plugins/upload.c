/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* upload - takes the body piece by piece, counts and hashes it (FNV-1a, 64 bits), answers both as JSON.
 *
 * A path that ends in /early is answered 403 at the head; one in /half after the first piece, 202; one in /keep is
 * deferred at the end of its body until another request asks for /let-go.
 */
#include "fixture.h"

#include <inttypes.h>
#include <stdlib.h>

struct state {
	uint64_t bytes, hash, pieces;
	int ended;
};

static const mtlsd_host *host;
static mtlsd_instance *self;
static int made, released, outcomes[2];
static mtlsd_request *kept;

static int
upload_init(const mtlsd_host *given, mtlsd_instance *instance, const mtlsd_config *config FIXTURE_UNUSED,
	    void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	self = instance;
	made = host->counter(self, "states_made", "request data made");
	released = host->counter(self, "states_released", "request data released");
	outcomes[MTLSD_SENT] = host->counter(self, "done_sent", "answers sent");
	outcomes[MTLSD_ABORTED] = host->counter(self, "done_aborted", "answers that were not sent");
	return 0;
}

static void
state_release(void *data)
{
	host->count(self, released, 1);
	free(data);
}

static mtlsd_action
upload_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	const char *path = host->path(request);
	struct state *state;

	if (fixture_ends_with(path, "/early"))
		return fixture_answer(host, request, 403, "not even looked at\n");
	if (fixture_ends_with(path, "/let-go")) {
		mtlsd_request *other = kept;

		kept = NULL;
		if (other)
			host->finish(other, MTLSD_DONE);
		return fixture_answer(host, request, other ? 200 : 409, other ? "gone\n" : "nothing kept\n");
	}
	state = malloc(sizeof(*state));
	if (!state)
		return MTLSD_FAIL;
	*state = (struct state){.hash = UINT64_C(14695981039346656037)};
	if (host->set_data(request, state, state_release) < 0) {
		free(state);
		return MTLSD_FAIL;
	}
	host->count(self, made, 1);
	return MTLSD_MORE;
}

static mtlsd_action
upload_answer(mtlsd_request *request, const struct state *state)
{
	char text[160];

	snprintf(text, sizeof(text),
		 "{\"bytes\": %" PRIu64 ", \"fnv\": \"%016" PRIx64 "\", \"pieces\": %" PRIu64
		 ", \"announced\": %" PRId64 "}\n",
		 state->bytes, state->hash, state->pieces, host->content_length(request));
	return fixture_answer(host, request, 200, text);
}

static mtlsd_action
upload_body(void *user FIXTURE_UNUSED, mtlsd_request *request, const void *data, size_t length)
{
	struct state *state = host->data(request);
	const char *path = host->path(request);
	const unsigned char *bytes = data;
	size_t i;

	if (state->ended)
		return fixture_answer(host, request, 500, "a piece after the end\n");
	if (length) {
		for (i = 0; i < length; i++)
			state->hash = (state->hash ^ bytes[i]) * UINT64_C(1099511628211);
		state->bytes += length;
		state->pieces++;
		if (fixture_ends_with(path, "/half"))
			return fixture_answer(host, request, 202, "enough\n");
		return MTLSD_MORE;
	}
	state->ended = 1;
	if (upload_answer(request, state) != MTLSD_DONE)
		return MTLSD_FAIL;
	if (fixture_ends_with(path, "/keep") && !kept) {
		kept = request;
		return MTLSD_DEFER;
	}
	return MTLSD_DONE;
}

static void
upload_cancel(void *user FIXTURE_UNUSED, mtlsd_request *request, mtlsd_reason reason FIXTURE_UNUSED)
{
	if (kept == request) {
		kept = NULL;
		host->finish(request, MTLSD_FAIL);
	}
}

static void
upload_done(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED, mtlsd_outcome outcome)
{
	host->count(self, outcomes[outcome], 1);
}

/* Not MTLSD_CONCURRENT: `kept` needs no lock, since no two callbacks overlap. */
MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("upload", "1.0", "counts and hashes a streamed body"),
	.flags = MTLSD_STREAM_BODY,
	.init = upload_init,
	.request = upload_request,
	.body = upload_body,
	.cancel = upload_cancel,
	.done = upload_done,
};
