/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ghost_small - a cache of some twelve hundred answers; of as many that went it knows the keys still, and who
 * comes back is put in the middle, not at the end. */
#include "../corpus.h"

enum { BUCKETS = 4096 };

struct answer {
	struct answer *chain, *next; /* next: of its queue, oldest first */
	uint64_t key;
	size_t bytes;
	char *text; /* NULL: a ghost */
	int asked;
};

static struct answer *bucket[BUCKETS];
static struct queue {
	struct answer *first, **last;
	size_t count;
} answers = {.last = &answers.first}, ghosts = {.last = &ghosts.first};
static size_t room;

static void
queue_append(struct queue *queue, struct answer *answer)
{
	answer->next = NULL;
	*queue->last = answer;
	queue->last = &answer->next;
	queue->count++;
}

static struct answer *
queue_take(struct queue *queue)
{
	struct answer *answer = queue->first;

	queue->first = answer->next;
	if (!queue->first)
		queue->last = &queue->first;
	queue->count--;
	return answer;
}

static void
ghost_lay(struct answer *ghost)
{
	struct answer **place = &bucket[ghost->key % BUCKETS];

	while (*place != ghost)
		place = &(*place)->chain;
	*place = ghost->chain;
	free(ghost);
}

static uint64_t
answer_forget(void)
{
	struct answer *answer = queue_take(&answers);
	uint64_t freed = answer->bytes;

	free(answer->text);
	answer->text = NULL;
	queue_append(&ghosts, answer);
	if (ghosts.count > room)
		ghost_lay(queue_take(&ghosts));
	return freed;
}

CORPUS_SITE static void
answer_add(uint64_t key)
{
	struct answer *answer = calloc(1, sizeof(*answer));

	if (!answer)
		return;
	*answer = (struct answer){.chain = bucket[key % BUCKETS], .key = key, .bytes = 60 + key % 400};
	answer->text = calloc(1, answer->bytes);
	bucket[key % BUCKETS] = answer;
	queue_append(&answers, answer);
	while (answers.count > room) {
		if (answers.first->asked) {
			answers.first->asked = 0;
			queue_append(&answers, queue_take(&answers)); /* a second chance */
		} else {
			(void) answer_forget();
		}
	}
}

static uint64_t
answers_drop(uint64_t target)
{
	uint64_t freed = 0;

	while (answers.count > 0 && freed < target)
		freed += answer_forget();
	while (ghosts.count > 0 && freed < target) {
		freed += sizeof(struct answer);
		ghost_lay(queue_take(&ghosts));
	}
	return freed;
}

static int
ghost_small_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	room = corpus_vary(1200, 1);
	return 0;
}

static mtlsd_action
ghost_small_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct answer *answer = bucket[ask.key % BUCKETS];
	while (answer && (answer->key != ask.key || !answer->text))
		answer = answer->chain;
	if (answer)
		answer->asked = 1;
	else
		answer_add(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
ghost_small_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return answers_drop(target);
}

static void
ghost_small_fini(void *user CORPUS_UNUSED)
{
	(void) answers_drop(UINT64_MAX);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("ghost_small", "a small cache that remembers what it forgot"),
	.options = corpus_options,
	.init = ghost_small_init,
	.request = ghost_small_request,
	.evict = ghost_small_evict,
	.fini = ghost_small_fini,
};
