/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* workload - does to malloc what allocator benchmarks do, on threads of its own, and looks at every byte.
 *
 * Written after the published descriptions, each named by the end of the path:
 *   /larson   a server's life (Larson, Krishnan 1998): a thread replaces random blocks of an array, then hands the
 *             array to a successor and ends, so that others free what it made
 *   /xmalloc  half of the threads only allocate, the other half only free (Lever, Boreham 2000)
 *   /scratch  each thread frees a small block it was given, then makes, writes and frees its own (Berger 2000)
 *   /thrash   the same without the gift (Berger 2000)
 *   /free     gives back what /larson left in the arrays
 *
 * `lane=N` in the query (0 to 3): requests in different lanes share nothing but the heap. A block's contents follow
 * from its address and size, so a block that lies in another, moved unasked or was written by a stranger is seen when
 * it is freed. The answer says how many bytes were wrong, how often malloc said no, and what the lane holds: no more
 * than that is live in the instance's own heap, for the books are static.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

enum { LANES = 4, THREADS = 8, SLOTS = 512, GENERATIONS = 4, QUEUE = 256, SMALL = 8 };

struct block {
	size_t size; /* of the whole */
	unsigned char rest[];
};

struct worker {
	struct lane *lane;
	pthread_t thread;
	unsigned random;
	struct block *slots[SLOTS];
	struct block *gift; /* what /scratch begins with */
	uint64_t wrong, refused;
};

struct lane {
	pthread_mutex_t busy; /* one workload at a time */
	struct worker workers[THREADS];
	/* What /xmalloc passes on. */
	pthread_mutex_t lock; /* guards the queue */
	pthread_cond_t changed;
	struct block *queue[QUEUE];
	unsigned first, count, producers;
};

static const mtlsd_host *host;
static unsigned threads, rounds;
static size_t largest;
static struct lane lanes[LANES];

static const mtlsd_option options[] = {
	{.name = "threads", .type = MTLSD_OPTION_INT, .min = 2, .max = THREADS, .fallback = "4",
	 .help = "Threads of one workload."},
	{.name = "rounds", .type = MTLSD_OPTION_INT, .min = 1, .max = 1 << 30, .fallback = "5000",
	 .help = "Blocks a thread makes."},
	{.name = "largest", .type = MTLSD_OPTION_SIZE, .min = 64, .max = 1 << 24, .fallback = "100KiB",
	 .help = "The largest block; most are far smaller."},
	{.name = NULL},
};

static unsigned
random_next(struct worker *worker)
{
	worker->random = worker->random * 1664525 + 1013904223;
	return worker->random >> 8;
}

/* --- blocks ------------------------------------------------------------------------------------------------------ */

static size_t
size_any(struct worker *worker)
{
	unsigned random = random_next(worker);

	return sizeof(struct block) + random_next(worker) % (random % 64 == 0 ? largest : random % 8 == 0 ? 2048 : 256);
}

static unsigned char
block_byte(const struct block *block, size_t size)
{
	return (unsigned char) (((uintptr_t) block >> 4) * 31 + size * 7);
}

static void
block_fill(struct block *block, size_t size)
{
	block->size = size;
	memset(block->rest, block_byte(block, size), size - sizeof(*block));
}

/* How many of the first `size` bytes are not as they were left. */
static uint64_t
block_wrong(const struct block *block, size_t size, unsigned char expected)
{
	uint64_t wrong = 0;
	size_t i;

	for (i = 0; i < size - sizeof(*block); i++)
		wrong += block->rest[i] != expected;
	return wrong;
}

static struct block *
block_new(struct worker *worker, size_t size)
{
	struct block *block = malloc(size);

	if (!block) {
		worker->refused++;
		return NULL;
	}
	block_fill(block, size);
	return block;
}

static void
block_free(struct worker *worker, struct block *block)
{
	if (!block)
		return;
	worker->wrong += block_wrong(block, block->size, block_byte(block, block->size));
	free(block);
}

static struct block *
block_resize(struct worker *worker, struct block *block, size_t size)
{
	size_t before = block->size, less = before < size ? before : size;
	unsigned char byte = block_byte(block, before);
	struct block *moved = realloc(block, size);

	if (!moved) {
		worker->refused++;
		return block;
	}
	worker->wrong += (moved->size != before) + block_wrong(moved, less, byte);
	block_fill(moved, size);
	return moved;
}

/* --- workloads --------------------------------------------------------------------------------------------------- */

static void *
larson_run(void *arg)
{
	struct worker *worker = arg;
	unsigned round;

	for (round = 0; round < rounds / GENERATIONS; round++) {
		struct block **slot = &worker->slots[random_next(worker) % SLOTS];

		if (*slot && random_next(worker) % 8 == 0) {
			*slot = block_resize(worker, *slot, size_any(worker));
		} else {
			block_free(worker, *slot);
			*slot = block_new(worker, size_any(worker));
		}
	}
	return NULL;
}

static void
queue_put(struct lane *lane, struct block *block)
{
	pthread_mutex_lock(&lane->lock);
	while (lane->count == QUEUE)
		pthread_cond_wait(&lane->changed, &lane->lock);
	lane->queue[(lane->first + lane->count++) % QUEUE] = block;
	pthread_cond_broadcast(&lane->changed);
	pthread_mutex_unlock(&lane->lock);
}

/* NULL: there will be no more. */
static struct block *
queue_take(struct lane *lane)
{
	struct block *block = NULL;

	pthread_mutex_lock(&lane->lock);
	while (lane->count == 0 && lane->producers > 0)
		pthread_cond_wait(&lane->changed, &lane->lock);
	if (lane->count > 0) {
		block = lane->queue[lane->first];
		lane->first = (lane->first + 1) % QUEUE;
		lane->count--;
		pthread_cond_broadcast(&lane->changed);
	}
	pthread_mutex_unlock(&lane->lock);
	return block;
}

static void *
xmalloc_run(void *arg)
{
	struct worker *worker = arg;
	struct lane *lane = worker->lane;
	struct block *block;
	unsigned round;

	if ((worker - lane->workers) % 2) {
		while ((block = queue_take(lane)))
			block_free(worker, block);
		return NULL;
	}
	for (round = 0; round < rounds; round++)
		if ((block = block_new(worker, size_any(worker))))
			queue_put(lane, block);
	pthread_mutex_lock(&lane->lock);
	lane->producers--;
	pthread_cond_broadcast(&lane->changed);
	pthread_mutex_unlock(&lane->lock);
	return NULL;
}

static void *
scratch_run(void *arg)
{
	struct worker *worker = arg;
	unsigned round, again;

	block_free(worker, worker->gift);
	worker->gift = NULL;
	for (round = 0; round < rounds; round++) {
		struct block *block = block_new(worker, sizeof(*block) + SMALL);

		for (again = 0; block && again < 50; again++)
			block_fill(block, block->size);
		block_free(worker, block);
	}
	return NULL;
}

/* A thread that cannot be started is no error of the heap: its share is left out, and said. */
static unsigned
lane_run(struct lane *lane, void *(*run)(void *))
{
	unsigned i, started = 0;

	for (i = 0; i < threads; i++) {
		if (pthread_create(&lane->workers[started].thread, NULL, run, &lane->workers[started]) != 0)
			break;
		started++;
	}
	for (i = 0; i < started; i++)
		pthread_join(lane->workers[i].thread, NULL);
	return threads - started;
}

static void
slots_free(struct worker *worker)
{
	size_t i;

	for (i = 0; i < SLOTS; i++) {
		block_free(worker, worker->slots[i]);
		worker->slots[i] = NULL;
	}
}

static unsigned
lane_work(struct lane *lane, const char *path)
{
	unsigned i, missing = 0;

	if (fixture_ends_with(path, "/larson")) {
		for (i = 0; i < GENERATIONS; i++)
			missing += lane_run(lane, larson_run);
	} else if (fixture_ends_with(path, "/xmalloc")) {
		lane->producers = (threads + 1) / 2;
		missing = lane_run(lane, xmalloc_run);
	} else if (fixture_ends_with(path, "/scratch")) {
		/* The gifts lie side by side, made by one thread, and are freed by as many as there are. */
		for (i = 0; i < threads; i++)
			lane->workers[i].gift = block_new(&lane->workers[i], sizeof(struct block) + SMALL);
		missing = lane_run(lane, scratch_run);
	} else if (fixture_ends_with(path, "/thrash")) {
		missing = lane_run(lane, scratch_run);
	} else if (fixture_ends_with(path, "/free")) {
		for (i = 0; i < threads; i++)
			slots_free(&lane->workers[i]);
	}
	return missing;
}

/* --- the plugin -------------------------------------------------------------------------------------------------- */

static int
workload_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config,
	      void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	unsigned i, k;

	host = given;
	threads = (unsigned) host->config_int(config, "threads");
	rounds = (unsigned) host->config_int(config, "rounds");
	largest = (size_t) host->config_int(config, "largest");
	for (i = 0; i < LANES; i++) {
		pthread_mutex_init(&lanes[i].busy, NULL);
		pthread_mutex_init(&lanes[i].lock, NULL);
		pthread_cond_init(&lanes[i].changed, NULL);
		for (k = 0; k < THREADS; k++) {
			lanes[i].workers[k].lane = &lanes[i];
			lanes[i].workers[k].random = i * THREADS + k;
		}
	}
	return 0;
}

static mtlsd_action
workload_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	const char *query = host->query(request), *word = query ? strstr(query, "lane=") : NULL;
	struct lane *lane = &lanes[word && word[5] >= '0' && word[5] < '0' + LANES ? word[5] - '0' : 0];
	unsigned long long wrong = 0, refused = 0, blocks = 0, bytes = 0;
	unsigned missing, i, k;
	char text[200];

	pthread_mutex_lock(&lane->busy);
	missing = lane_work(lane, host->path(request));
	for (i = 0; i < threads; i++) {
		wrong += lane->workers[i].wrong;
		refused += lane->workers[i].refused;
		for (k = 0; k < SLOTS; k++)
			if (lane->workers[i].slots[k]) {
				blocks++;
				bytes += lane->workers[i].slots[k]->size;
			}
	}
	pthread_mutex_unlock(&lane->busy);
	snprintf(text, sizeof(text),
		 "{\"wrong\": %llu, \"refused\": %llu, \"blocks\": %llu, \"bytes\": %llu, \"threads_missing\": %u}\n",
		 wrong, refused, blocks, bytes, missing);
	return fixture_answer(host, request, 200, text);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("workload", "1.0", "does to malloc what allocator benchmarks do"),
	.flags = MTLSD_CONCURRENT | MTLSD_BLOCKING | MTLSD_OVERLAP,
	.options = options,
	.init = workload_init,
	.request = workload_request,
};
