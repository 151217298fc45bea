/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "exposure.h"

#include "cleanup.h"
#include "stats.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
	TABLE_BITS = 65536,
	WORD_BITS = 64,
	DIGITS = 4,    /* hex digits of a fingerprint that choose a bit */
	FRACTION = 16, /* clients are counted in 65,536th */
};

enum exposure_counter {
	EXPOSURE_ERRORS,
	EXPOSURE_HANDSHAKES,
	EXPOSURE_CONNECTIONS,
	EXPOSURE_OPEN,
	EXPOSURE_COUNTERS,
};

struct exposure {
	atomic_uint holders;
	struct stats *stats;
	_Atomic uint64_t clients; /* fixed point, FRACTION bits */
	atomic_uint bits_set;
	atomic_uint_fast64_t *table; /* NULL: ended */
	atomic_bool ended;
};

int
exposure_new(struct exposure **ret)
{
	CLEANUP(exposure_release) struct exposure *exposure = calloc(1, sizeof(*exposure));

	if (exposure == NULL)
		return -ENOMEM;
	atomic_init(&exposure->holders, 1);
	exposure->table = calloc(TABLE_BITS / WORD_BITS, sizeof(*exposure->table));
	if (exposure->table == NULL || stats_new(EXPOSURE_COUNTERS, &exposure->stats) < 0)
		return -ENOMEM;
	*ret = STEAL(exposure);
	return 0;
}

struct exposure *
exposure_hold(struct exposure *exposure)
{
	atomic_fetch_add_explicit(&exposure->holders, 1, memory_order_relaxed);
	return exposure;
}

void
exposure_release(struct exposure **exposure)
{
	struct exposure *old = *exposure;

	*exposure = NULL;
	if (old == NULL || atomic_fetch_sub_explicit(&old->holders, 1, memory_order_acq_rel) > 1)
		return;
	stats_free(&old->stats);
	free((void *) old->table);
	free(old);
}

void
exposure_end(struct exposure *exposure)
{
	atomic_store(&exposure->ended, true);
	free((void *) exposure->table);
	exposure->table = NULL;
}

bool
exposure_has_ended(const struct exposure *exposure)
{
	return atomic_load(&exposure->ended);
}

static unsigned
digit_value(char digit)
{
	return (unsigned) (digit <= '9' ? digit - '0' : digit - 'a' + 10) & 15;
}

/* Looks before it writes: a client that is known costs no shared write. */
static void
client_note(struct exposure *exposure, const char *certificate)
{
	unsigned bit = 0;

	for (unsigned i = 0; i < DIGITS && certificate[i] != '\0'; i++)
		bit = bit << 4 | digit_value(certificate[i]);
	atomic_uint_fast64_t *word = &exposure->table[bit / WORD_BITS];
	uint64_t mask = UINT64_C(1) << bit % WORD_BITS;
	if ((atomic_load_explicit(word, memory_order_relaxed) & mask) != 0 ||
	    (atomic_fetch_or_explicit(word, mask, memory_order_relaxed) & mask) != 0)
		return;
	unsigned set = atomic_fetch_add_explicit(&exposure->bits_set, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&exposure->clients, ((uint64_t) TABLE_BITS << FRACTION) / (TABLE_BITS - set),
				  memory_order_relaxed);
}

void
exposure_open(struct exposure *exposure, const char *certificate, bool resumed)
{
	stats_add(exposure->stats, EXPOSURE_CONNECTIONS, 1);
	stats_add(exposure->stats, EXPOSURE_OPEN, 1);
	if (!resumed)
		stats_add(exposure->stats, EXPOSURE_HANDSHAKES, 1);
	client_note(exposure, certificate);
}

void
exposure_close(struct exposure *exposure)
{
	stats_add(exposure->stats, EXPOSURE_OPEN, (uint64_t) -1);
}

void
exposure_fail(struct exposure *exposure)
{
	stats_add(exposure->stats, EXPOSURE_ERRORS, 1);
}

void
exposure_read(const struct exposure *exposure, struct signals_sample *ret)
{
	const uint64_t half = UINT64_C(1) << (FRACTION - 1);
	const struct stats *stats = exposure->stats;
	uint64_t *count = ret->exposure.count;

	count[SIGNALS_ERRORS] = stats_sum(stats, EXPOSURE_ERRORS);
	count[SIGNALS_HANDSHAKES] = stats_sum(stats, EXPOSURE_HANDSHAKES);
	count[SIGNALS_CONNECTIONS] = stats_sum(stats, EXPOSURE_CONNECTIONS);
	count[SIGNALS_CLIENTS] = (atomic_load_explicit(&exposure->clients, memory_order_relaxed) + half) >> FRACTION;
	uint64_t open = stats_sum(stats, EXPOSURE_OPEN);
	ret->open_connections = (int64_t) open > 0 ? (uint32_t) open : 0;
}
