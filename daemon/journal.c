/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "journal.h"

#include "alloc.h"
#include "bin.h"
#include "side.h"

#include <stdlib.h>
#include <string.h>

void
journal_setup(struct journal *journal, uint64_t tag)
{
	journal->start = journal->next = journal->first;
	journal->end = journal->first + JOURNAL_INLINE;
	journal->tag = tag;
	journal->lost = 0;
	journal->grown = NULL;
	journal->grown_count = journal->grown_room = 0;
}

void
journal_clear(struct journal *journal)
{
	if (journal->start != journal->first)
		free(journal->start);
	free(journal->grown);
	journal_setup(journal, journal->tag);
}

/* Told from the span and the side word alone: the block is no longer the booking's. Right for every block that is still
 * live, since its span cannot change. While another thread frees the block its span may become another class's; what is
 * read then is some other word, or readable memory behind a shorter side table (META_SLACK): by then the block is out,
 * and if it does not look so, journal_claim finds out. */
static inline bool
journal_is_out(const struct journal *journal, const void *block)
{
	const struct span *span = &bin_range.spans[((uintptr_t) block - bin_range.base) >> RUN_SHIFT];
	const uint64_t *side = __atomic_load_n(&span->side, __ATOMIC_RELAXED);
	uint64_t product =
		((uintptr_t) block & (RUN_GRANULE - 1)) * (uint64_t) __atomic_load_n(&span->magic, __ATOMIC_RELAXED);
	const uint64_t tells = SIDE_LIVE | SIDE_BOOKED | UINT32_MAX; /* and the epoch */

	return ((side_load(&side[product >> 32]) ^ (journal->tag | SIDE_LIVE)) & tells) != 0;
}

/* Takes the block off the booking if it still is on it. */
static bool
journal_claim(const struct journal *journal, void *block, const struct heap **ret_heap, uint64_t **ret_side,
	      uint64_t *ret_word, uint64_t *ret_bytes)
{
	if (!alloc_find(block, ret_heap, ret_side, ret_bytes))
		return false;
	uint64_t word = side_load(*ret_side);
	if (!(word & SIDE_LIVE) || !(word & SIDE_BOOKED) || side_epoch(word) != side_epoch(journal->tag))
		return false;
	*ret_word = word;
	/* Fails if another thread has just freed it: then it is no longer there to be counted. */
	return __atomic_compare_exchange_n(*ret_side, &word, word & ~SIDE_BOOKED, 0, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

/* Forgets dead blocks, and doubles of live ones: a block freed and handed out again under the booking is noted twice.
 */
static void
journal_compact(struct journal *journal)
{
	const struct heap *heap;
	uint64_t *side, word, bytes;
	void **kept = journal->start;

	for (void **at = journal->start; at < journal->next; at++)
		if (!journal_is_out(journal, *at) && journal_claim(journal, *at, &heap, &side, &word, &bytes))
			*kept++ = *at;
	journal->next = kept;
	for (void **at = journal->start; at < kept; at++) {
		if (!alloc_find(*at, &heap, &side, &bytes))
			continue;
		word = side_load(side);
		if (word & SIDE_LIVE && !(word & SIDE_ARENA) && side_epoch(word) == side_epoch(journal->tag))
			(void) __atomic_compare_exchange_n(side, &word, word | SIDE_BOOKED, 0, __ATOMIC_RELAXED,
							   __ATOMIC_RELAXED);
	}
}

static bool
journal_make_room(struct journal *journal)
{
	journal_compact(journal);
	size_t used = (size_t) (journal->next - journal->start), size = (size_t) (journal->end - journal->start);
	if (used <= size / 4)
		return true;
	/* Daemon memory, although a plugin's call brought us here. */
	struct scope_space *space = bin_pause();
	void **larger = malloc(size * 2 * sizeof(*larger));
	if (larger != NULL) {
		memcpy(larger, journal->start, used * sizeof(*larger));
		if (journal->start != journal->first)
			free(journal->start);
		journal->start = larger;
		journal->next = larger + used;
		journal->end = larger + size * 2;
	}
	bin_resume(space);
	return journal->next < journal->end;
}

bool
journal_note(void *block)
{
	struct bin_thread *self = &bin_self;
	struct journal *journal = self->journal;

	if (self->journal_next == self->journal_end) {
		journal->next = self->journal_next;
		bool room = journal_make_room(journal);
		self->journal_next = journal->next;
		self->journal_end = journal->end;
		if (!room) {
			journal->lost++;
			return false;
		}
	}
	*self->journal_next++ = block;
	return true;
}

/* By its birth: whatever else has come to lie there was born later, or is of an arena: those move unnoted. */
static bool
journal_growth_is_there(const struct journal_growth *growth, const struct heap **ret_heap, uint64_t *ret_word,
			uint64_t *ret_bytes)
{
	uint64_t *side;

	if (growth->bytes <= 0 || !alloc_find(growth->block, ret_heap, &side, ret_bytes))
		return false;
	*ret_word = side_load(side);
	return *ret_word & SIDE_LIVE && !(*ret_word & (SIDE_BOOKED | SIDE_ARENA)) &&
	       side_epoch(*ret_word) == growth->epoch;
}

/* Forgets what has been freed. */
static void
journal_growth_sweep(struct journal *journal)
{
	const struct heap *heap;
	uint64_t word, bytes;
	unsigned kept = 0;

	for (unsigned i = 0; i < journal->grown_count; i++)
		if (journal_growth_is_there(&journal->grown[i], &heap, &word, &bytes))
			journal->grown[kept++] = journal->grown[i];
	journal->grown_count = kept;
}

static struct journal_growth *
journal_growth_new(struct journal *journal)
{
	if (journal->grown_count == JOURNAL_GROWN_MOST)
		journal_growth_sweep(journal);
	if (journal->grown_count == journal->grown_room && journal->grown_room < JOURNAL_GROWN_MOST) {
		unsigned room = journal->grown_room != 0 ? journal->grown_room * 2 : 8;
		struct scope_space *space = bin_pause();
		struct journal_growth *larger = realloc(journal->grown, room * sizeof(*larger));
		bin_resume(space);
		if (larger != NULL) {
			journal->grown = larger;
			journal->grown_room = room;
		}
	}
	if (journal->grown_count < journal->grown_room)
		return &journal->grown[journal->grown_count++];
	journal->lost++;
	return NULL;
}

void
journal_grow(const void *before, void *after, uint32_t epoch, int64_t bytes)
{
	struct journal *journal = bin_self.journal;
	struct journal_growth *growth = NULL;

	if (journal == NULL)
		return;
	/* A vector that grows again is the one noted last. */
	for (unsigned i = journal->grown_count; i-- > 0 && growth == NULL;)
		if (journal->grown[i].block == before && journal->grown[i].epoch == epoch)
			growth = &journal->grown[i];
	/* What was noted at the new place has been freed since. */
	for (unsigned i = 0; after != before && i < journal->grown_count; i++)
		if (journal->grown[i].block == after)
			journal->grown[i] = (struct journal_growth){0};
	if (growth != NULL) {
		growth->block = after;
		growth->bytes += bytes;
	} else if ((growth = journal_growth_new(journal)) != NULL)
		*growth = (struct journal_growth){.block = after, .epoch = epoch, .bytes = bytes};
}

static void
journal_settle_growth(const struct journal_growth *growth,
		      void (*visit)(const struct heap *, uint64_t, uint64_t, unsigned, void *), void *ctx)
{
	const struct heap *heap;
	uint64_t word, bytes;

	if (journal_growth_is_there(growth, &heap, &word, &bytes))
		visit(heap, word, (uint64_t) growth->bytes < bytes ? (uint64_t) growth->bytes : bytes, 0, ctx);
}

void
journal_settle(struct journal *journal,
	       void (*visit)(const struct heap *heap, uint64_t word, uint64_t bytes, unsigned blocks, void *ctx),
	       void *ctx)
{
	const struct heap *heap;
	uint64_t *side, word, bytes;

	for (void **at = journal->start; at < journal->next; at++)
		if (__builtin_expect(!journal_is_out(journal, *at), 0) &&
		    journal_claim(journal, *at, &heap, &side, &word, &bytes))
			visit(heap, word, bytes, 1, ctx);
	for (unsigned i = 0; i < journal->grown_count; i++)
		journal_settle_growth(&journal->grown[i], visit, ctx);
}
