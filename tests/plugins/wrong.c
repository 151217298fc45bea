/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* wrong - breaks the rules of answering, one rule a path; every breach must cost one 500 at most.
 *
 * /noanswer returns DONE without one, /pass passes though it is no filter, /more asks for a body it does not stream,
 * /odd returns a number that is none of the actions, /fail fails; /refusals tries arguments the host must refuse and
 * tells how many were, /twice answers twice (the last one counts), /big answers 1 MiB, /huge asks the arena for the
 * impossible.
 */
#include "fixture.h"

#include <errno.h>
#include <stdint.h>

static const mtlsd_host *host;
static mtlsd_instance *self;
static char big[1 << 20];

static int
wrong_init(const mtlsd_host *given, mtlsd_instance *instance, const mtlsd_config *config FIXTURE_UNUSED,
	   void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	self = instance;
	memset(big, 'b', sizeof(big));
	return 0;
}

static mtlsd_action
answer_noanswer(mtlsd_request *request FIXTURE_UNUSED)
{
	return MTLSD_DONE;
}

static mtlsd_action
answer_pass(mtlsd_request *request FIXTURE_UNUSED)
{
	return MTLSD_PASS;
}

static mtlsd_action
answer_more(mtlsd_request *request FIXTURE_UNUSED)
{
	return MTLSD_MORE;
}

static mtlsd_action
answer_odd(mtlsd_request *request)
{
	volatile int odd = 4711;

	(void) fixture_answer(host, request, 200, "must not be seen\n");
	return (mtlsd_action) odd;
}

static mtlsd_action
answer_fail(mtlsd_request *request)
{
	(void) fixture_answer(host, request, 200, "must not be seen\n");
	return MTLSD_FAIL;
}

static mtlsd_action
answer_refusals(mtlsd_request *request)
{
	const int tries[] = {
		host->respond(request, 99, "", 0),
		host->respond(request, 101, "", 0),
		host->respond(request, 600, "", 0),
		host->add_header(request, "Content-Length", "3"),
		host->add_header(request, "Transfer-Encoding", "chunked"),
		host->add_header(request, "X-Split", "a\r\nSet-Cookie: b=c"),
		host->add_header(request, "X Space", "a"),
		host->add_header(request, "", "a"),
		host->respond_stream(request, 200, 3, NULL, NULL),
		host->counter(self, "Bad", "upper case"),
	};
	unsigned i, refused = 0;
	char text[64];

	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		refused += tries[i] == -EINVAL;
	snprintf(text, sizeof(text), "%u of %zu\n", refused, sizeof(tries) / sizeof(tries[0]));
	return fixture_answer(host, request, 200, text);
}

static mtlsd_action
answer_twice(mtlsd_request *request)
{
	(void) fixture_answer(host, request, 404, "the first\n");
	return fixture_answer(host, request, 200, "the second\n");
}

static mtlsd_action
answer_big(mtlsd_request *request)
{
	return host->respond(request, 200, big, sizeof(big)) < 0 ? MTLSD_FAIL : MTLSD_DONE;
}

static mtlsd_action
answer_huge(mtlsd_request *request)
{
	void *half = host->alloc(request, SIZE_MAX / 2), *all = host->alloc(request, SIZE_MAX);

	return fixture_answer(host, request, 200, half || all ? "got it\n" : "refused\n");
}

static const struct {
	const char *path;
	mtlsd_action (*answer)(mtlsd_request *request);
} answers[] = {
	{"/noanswer", answer_noanswer}, {"/pass", answer_pass},	  {"/more", answer_more},
	{"/odd", answer_odd},		{"/fail", answer_fail},	  {"/refusals", answer_refusals},
	{"/twice", answer_twice},	{"/big", answer_big},	  {"/huge", answer_huge},
};

static mtlsd_action
wrong_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	size_t i;

	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (fixture_ends_with(host->path(request), answers[i].path))
			return answers[i].answer(request);
	return fixture_answer(host, request, 200, "right\n");
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("wrong", "1.0", "breaks the rules of answering"),
	.flags = MTLSD_CONCURRENT,
	.init = wrong_init,
	.request = wrong_request,
};
