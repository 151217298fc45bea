/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sketch_merge - what was asked for in the last twelve to fifty thousand requests, as sketches: one for each
 * thirty-two requests, and where there are more than six of a size the two oldest become one of twice as many requests.
 * Most come early; each later one stands for more. */
#include "../corpus.h"

enum { SPAN = 32, SIZES = 8, OF_A_SIZE = 6, REGISTERS = 1000 };

struct sketch {
	struct sketch *newer;
	unsigned char registers[REGISTERS];
};

static struct {
	struct sketch *oldest, *newest;
	unsigned count;
} sizes[SIZES];
static struct sketch *current;
static uint64_t entered;
static unsigned depth;

CORPUS_SITE static struct sketch *
sketch_new(void)
{
	struct sketch *sketch = calloc(1, sizeof(*sketch));

	if (sketch)
		sketch->newer = NULL;
	return sketch;
}

static struct sketch *
sketch_shift(unsigned size)
{
	struct sketch *sketch = sizes[size].oldest;

	sizes[size].oldest = sketch->newer;
	sizes[size].count--;
	sketch->newer = NULL;
	return sketch;
}

static void
sketch_push(struct sketch *sketch, unsigned size)
{
	*(sizes[size].count > 0 ? &sizes[size].newest->newer : &sizes[size].oldest) = sketch;
	sizes[size].newest = sketch;
	sizes[size].count++;
}

static void
sketches_merge(void)
{
	for (unsigned size = 0; size < depth && sizes[size].count > OF_A_SIZE; size++) {
		struct sketch *one = sketch_shift(size), *other = sketch_shift(size);
		for (size_t i = 0; i < REGISTERS; i++) {
			if (other->registers[i] > one->registers[i])
				one->registers[i] = other->registers[i];
		}
		free(other);
		if (size + 1 < depth)
			sketch_push(one, size + 1);
		else
			free(one); /* out of the window */
	}
}

static void
sketch_enter(uint64_t key)
{
	uint64_t hash = key * 0x9e3779b97f4a7c15;
	unsigned char zeros = (unsigned char) (1 + __builtin_clzll(hash << 20 | 1));

	if (!current && !(current = sketch_new()))
		return;
	unsigned char *place = &current->registers[(hash >> 44) % REGISTERS];
	*place = *place > zeros ? *place : zeros;
	if (++entered % SPAN != 0)
		return;
	sketch_push(current, 0);
	current = NULL;
	sketches_merge();
}

static int
sketch_merge_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		  void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	depth = 6 + (unsigned) corpus_vary(100, 1) % 3;
	return 0;
}

static mtlsd_action
sketch_merge_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	sketch_enter(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
sketch_merge_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* the past cannot be sketched again */
}

static void
sketch_merge_fini(void *user CORPUS_UNUSED)
{
	for (unsigned size = 0; size < depth; size++) {
		while (sizes[size].count > 0)
			free(sketch_shift(size));
	}
	free(current);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("sketch_merge", "sketches of the last requests, the older the coarser"),
	.options = corpus_options,
	.init = sketch_merge_init,
	.request = sketch_merge_request,
	.evict = sketch_merge_evict,
	.fini = sketch_merge_fini,
};
