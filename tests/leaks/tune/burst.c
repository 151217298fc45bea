/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* burst - mail for another service queues up where requests come faster than about forty a second can be sent on,
 * and drains when they do not. */
#include "../corpus.h"

struct mail {
	struct mail *next;
	char text[300];
};

static struct mail *first, **last = &first;
static size_t waiting;
static uint64_t rate, sent_until;

CORPUS_SITE static void
mail_queue(const char *path)
{
	struct mail *mail = malloc(sizeof(*mail));

	if (!mail)
		return;
	snprintf(mail->text, sizeof(mail->text), "%s", path);
	mail->next = NULL;
	*last = mail;
	last = &mail->next;
	waiting++;
}

static uint64_t
mail_send(size_t most)
{
	uint64_t freed = 0;

	while (first && most-- > 0) {
		struct mail *mail = first;
		first = mail->next;
		if (!first)
			last = &first;
		free(mail);
		waiting--;
		freed += sizeof(*mail);
	}
	return freed;
}

static int
burst_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	   void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	rate = corpus_vary(40, 1);
	return 0;
}

static mtlsd_action
burst_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	uint64_t now = corpus_now(), due = (now - sent_until) * rate / 1000000;
	if (due > 0) {
		(void) mail_send(due);
		sent_until = now;
	}
	if (waiting < 20000 && corpus_below(4) == 0)
		mail_queue(ask.path);
	return corpus_answer(request, &ask);
}

static uint64_t
burst_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return mail_send(SIZE_MAX);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("burst", "a queue that fills in bursts"),
	.options = corpus_options,
	.init = burst_init,
	.request = burst_request,
	.evict = burst_evict,
};
