/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sample.h"

#include "bin.h"
#include "pace.h"
#include "stack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	SAMPLE_STACKS = 4096, /* powers of two */
	SAMPLE_BLOCKS = 16384,
	SAMPLE_MEAN = 32768,
	SAMPLE_SLICE = 64, /* stacks copied under the lock */
	SAMPLE_SITES = 64, /* whose last stacks are remembered, a power of two */
	SAMPLE_WAYS = 4,   /* stacks of each: one call may have several callers */
};

struct sample_stack {
	uint64_t hash;
	struct heap_stack_usage usage;
};

struct sample_block {
	const void *block; /* NULL: free */
	struct sample_stack *stack;
	uint64_t bytes, objects; /* what it stands for */
};

/* A stack that came before, and where its return addresses lay. */
struct sample_memo {
	struct sample_stack *stack; /* NULL: free */
	uint32_t steps[HEAP_STACK_FRAMES];
};

void
sample_setup(void)
{
	struct stack stack;

	stack_walk(0, &stack);
}

void
sample_init(struct sample_table *table, uint64_t interval)
{
	*table = (struct sample_table){.interval = interval};
	pthread_mutex_init(&table->lock, NULL);
}

/* The tables are wide and thinly filled: mapped, they cost the pages that are touched, and end with their heap. */
static void *
sample_map(size_t bytes)
{
	void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return table != MAP_FAILED ? table : NULL;
}

static void
sample_unmap(void *table, size_t bytes)
{
	if (table != NULL)
		(void) munmap(table, bytes);
}

void
sample_clear(struct sample_table *table)
{
	for (unsigned i = 0; table->stacks != NULL && i < SAMPLE_STACKS; i++)
		free(table->stacks[i]);
	sample_unmap(table->stacks, SAMPLE_STACKS * sizeof(*table->stacks));
	sample_unmap(table->blocks, SAMPLE_BLOCKS * sizeof(*table->blocks));
	sample_unmap(table->memos, SAMPLE_SITES * SAMPLE_WAYS * sizeof(*table->memos));
	pthread_mutex_destroy(&table->lock);
}

static uint64_t
sample_mix(uint64_t value)
{
	value = (value ^ value >> 31) * 0x9e3779b97f4a7c15ULL;
	return value ^ value >> 29;
}

/* Below `bound`, so that no pattern of allocations keeps step with the samples. */
static uint64_t
sample_random(uint64_t bound, const void *salt)
{
	static _Thread_local uint64_t state __attribute__((tls_model("local-exec")));

	state = sample_mix(state + (uintptr_t) salt + 1);
	return (state >> 8) % bound;
}

/* How many blocks of that size one sample stands for. Bounded by what a bin's tally can count down. */
static uint64_t
sample_mean(uint64_t interval, uint64_t size)
{
	uint64_t mean = interval / size;

	return mean > SAMPLE_MEAN ? SAMPLE_MEAN : mean > 0 ? mean : 1;
}

uint64_t
sample_next(const struct sample_table *table, uint32_t size, const void *salt)
{
	uint64_t interval = __atomic_load_n(&table->interval, __ATOMIC_RELAXED);

	return interval != 0 ? 1 + sample_random(2 * sample_mean(interval, size) - 1, salt) : UINT16_MAX;
}

int64_t
sample_next_bytes(const struct sample_table *table, const void *salt)
{
	uint64_t interval = __atomic_load_n(&table->interval, __ATOMIC_RELAXED);

	return interval == 0 ? INT64_MAX : (int64_t) (interval / 2 + sample_random(interval, salt));
}

/* The tables are made when the first sample is taken. */
static bool
sample_ready(struct sample_table *table)
{
	if (table->stacks == NULL)
		table->stacks = sample_map(SAMPLE_STACKS * sizeof(*table->stacks));
	if (table->blocks == NULL)
		table->blocks = sample_map(SAMPLE_BLOCKS * sizeof(*table->blocks));
	if (table->memos == NULL)
		table->memos = sample_map(SAMPLE_SITES * SAMPLE_WAYS * sizeof(*table->memos));
	return table->stacks != NULL && table->blocks != NULL && table->memos != NULL;
}

static struct sample_stack *
sample_stack_of(struct sample_table *table, const uintptr_t *frames, unsigned depth)
{
	uint64_t hash = depth;

	for (unsigned i = 0; i < depth; i++)
		hash = sample_mix(hash ^ frames[i]);
	for (unsigned at = hash % SAMPLE_STACKS;; at = (at + 1) % SAMPLE_STACKS) {
		struct sample_stack *stack = table->stacks[at];
		if (stack != NULL && stack->hash == hash && stack->usage.depth == depth &&
		    memcmp(stack->usage.frames, frames, depth * sizeof(*frames)) == 0)
			return stack;
		if (stack != NULL)
			continue;
		if (table->stacks_used == SAMPLE_STACKS / 4 * 3 || (stack = calloc(1, sizeof(*stack))) == NULL)
			return NULL;
		stack->hash = hash;
		stack->usage.depth = depth;
		memcpy(stack->usage.frames, frames, depth * sizeof(*frames));
		table->stacks[at] = stack;
		table->stacks_used++;
		return stack;
	}
}

static unsigned
sample_place(const void *block)
{
	return sample_mix((uintptr_t) block >> 4) % SAMPLE_BLOCKS;
}

/* The stacks of a site that came last. */
static struct sample_memo *
sample_memos(struct sample_table *table, uintptr_t site)
{
	return &table->memos[sample_mix(site) % SAMPLE_SITES * SAMPLE_WAYS];
}

/* The stack that the thread is on, if it came by before. slot: where the call that returns to `site` has its return
 * address; NULL: not known. */
static struct sample_stack *
sample_recall(struct sample_table *table, const uintptr_t *slot, uintptr_t site)
{
	if (slot == NULL || *slot != site || table->memos == NULL)
		return NULL;
	const struct sample_memo *memo = sample_memos(table, site);
	for (unsigned i = 0; i < SAMPLE_WAYS && memo[i].stack != NULL; i++) {
		const struct heap_stack_usage *usage = &memo[i].stack->usage;
		if (stack_is_same(slot, usage->frames, memo[i].steps, usage->depth))
			return memo[i].stack;
	}
	return NULL;
}

static void
sample_memorize(struct sample_table *table, struct sample_stack *of, const struct stack *stack)
{
	struct sample_memo *memo = sample_memos(table, stack->frames[0]);

	if (!stack->has_steps)
		return;
	memmove(memo + 1, memo, (SAMPLE_WAYS - 1) * sizeof(*memo));
	memo->stack = of;
	memcpy(memo->steps, stack->steps, stack->depth * sizeof(*stack->steps));
}

static bool
sample_insert(struct sample_table *table, const void *block, uint64_t bytes, struct sample_stack *stack)
{
	uint64_t interval = __atomic_load_n(&table->interval, __ATOMIC_RELAXED);
	unsigned at = sample_place(block);

	if (table->blocks_used == SAMPLE_BLOCKS / 4 * 3)
		return false;
	while (table->blocks[at].block != NULL)
		at = (at + 1) % SAMPLE_BLOCKS;
	uint64_t objects = sample_mean(interval, bytes);
	table->blocks[at] = (struct sample_block){block, stack, objects * bytes, objects};
	table->blocks_used++;
	stack->usage.bytes += objects * bytes;
	stack->usage.objects += objects;
	stack->usage.allocated_bytes += objects * bytes;
	stack->usage.allocated_objects += objects;
	return true;
}

bool
sample_record(struct sample_table *table, const void *block, uint64_t bytes, uintptr_t site)
{
	struct stack stack;

	if (__atomic_load_n(&table->interval, __ATOMIC_RELAXED) == 0)
		return false;
	struct scope_space *space = bin_pause();
	pthread_mutex_lock(&table->lock);
	struct sample_stack *found = sample_recall(table, bin_self.called_at, site);
	if (found == NULL) {
		pthread_mutex_unlock(&table->lock); /* a walk is long */
		stack_walk(site, &stack);
		pthread_mutex_lock(&table->lock);
		found = sample_ready(table) ? sample_stack_of(table, stack.frames, stack.depth) : NULL;
		if (found != NULL)
			sample_memorize(table, found, &stack);
	}
	bool done = found != NULL && sample_insert(table, block, bytes, found);
	pthread_mutex_unlock(&table->lock);
	bin_resume(space);
	return done;
}

/* Takes an entry out of the open hash and closes the gap, so that no search ends too early. */
static void
sample_remove(struct sample_table *table, unsigned gap)
{
	for (unsigned at = (gap + 1) % SAMPLE_BLOCKS; table->blocks[at].block != NULL; at = (at + 1) % SAMPLE_BLOCKS) {
		unsigned home = sample_place(table->blocks[at].block);
		if ((at - home) % SAMPLE_BLOCKS < (at - gap) % SAMPLE_BLOCKS)
			continue; /* its home lies behind the gap */
		table->blocks[gap] = table->blocks[at];
		gap = at;
	}
	table->blocks[gap].block = NULL;
	table->blocks_used--;
}

void
sample_forget(struct sample_table *table, const void *block)
{
	pthread_mutex_lock(&table->lock);
	for (unsigned at = sample_place(block); table->blocks != NULL && table->blocks[at].block != NULL;
	     at = (at + 1) % SAMPLE_BLOCKS) {
		struct sample_block *found = &table->blocks[at];
		if (found->block != block)
			continue;
		found->stack->usage.bytes -= found->bytes;
		found->stack->usage.objects -= found->objects;
		sample_remove(table, at);
		break;
	}
	pthread_mutex_unlock(&table->lock);
}

static int
sample_compare(const void *a, const void *b)
{
	const struct heap_stack_usage *left = a, *right = b;

	pace();
	return left->bytes < right->bytes ? 1 : left->bytes > right->bytes ? -1 : 0;
}

int
sample_collect(struct sample_table *table, struct heap_stack_usage **ret, size_t *ret_count)
{
	size_t count = 0;

	/* Whoever samples an allocation waits for the lock: memory comes before it, and what is copied under it is
	 * little. A stack stays where it is, as long as its heap lives; one that comes meanwhile may be missed. */
	pthread_mutex_lock(&table->lock);
	size_t used = table->stacks_used;
	pthread_mutex_unlock(&table->lock);
	struct heap_stack_usage *all = malloc((used + 1) * sizeof(*all));
	if (all == NULL)
		return -ENOMEM;
	for (unsigned i = 0; used != 0 && i < SAMPLE_STACKS; i += SAMPLE_SLICE) {
		pace();
		pthread_mutex_lock(&table->lock);
		for (unsigned k = i; k < i + SAMPLE_SLICE; k++)
			if (table->stacks[k] != NULL && count < used)
				all[count++] = table->stacks[k]->usage;
		pthread_mutex_unlock(&table->lock);
	}
	qsort(all, count, sizeof(*all), sample_compare);
	*ret = all;
	*ret_count = count;
	return 0;
}
