/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* corpus.h - what every plugin of the corpus does alike: reads what the traffic asks for, makes the litter of an
 * ordinary request, answers, and draws its random numbers from a seed in its settings.
 *
 * A request's path says how it shall end (…/error: 500, …/slow: never answered, the deadline ends it), its query names
 * what is asked for (k=NUMBER), the header Session says "new" on the first request of a full handshake. Time is
 * CLOCK_MONOTONIC and nanosleep, as in any plugin; the evaluation gives both its own clock.
 *
 * Everything is static: each plugin has its own copy, so call sites and state are its own.
 *
 * Threads: requests of one plugin of the corpus never overlap (no MTLSD_CONCURRENT). Owns: nothing that lives longer
 * than a request.
 */
#include <mtlsd/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CORPUS_UNUSED __attribute__((unused))
#define CORPUS_SITE __attribute__((noinline)) /* a function that labels name */

static const mtlsd_host *host;
static uint64_t corpus_seed, corpus_state;

struct corpus_ask {
	const char *path;
	uint64_t key;
	int error, slow;
};

/* --- numbers ----------------------------------------------------------------------------------------------------- */

/* Source: splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
static inline uint64_t
corpus_random(void)
{
	uint64_t z = corpus_state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* 0 .. bound - 1. */
static inline uint64_t
corpus_below(uint64_t bound)
{
	return corpus_random() % bound;
}

/* The same for a whole run: between 70 and 130 % of base, as the seed wills. what: so that numbers differ. */
static inline uint64_t
corpus_vary(uint64_t base, uint64_t what)
{
	uint64_t z = (corpus_seed + what * 0x632be59bd9b4e019) * 0x9e3779b97f4a7c15;

	z ^= z >> 29;
	return base * (70 + z % 61) / 100;
}

static inline uint64_t
corpus_hash(const char *text)
{
	uint64_t hash = 14695981039346656037u;

	for (; *text; text++)
		hash = (hash ^ (unsigned char) *text) * 1099511628211u;
	return hash;
}

/* Microseconds. */
static inline uint64_t
corpus_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

/* --- a request --------------------------------------------------------------------------------------------------- */

static inline int
corpus_ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length >= tail && memcmp(text + length - tail, end, tail) == 0;
}

/* Reads the request and litters: two blocks that live until it is over, one that does not, and some arena. 0: no
 * memory. */
static inline int
corpus_begin(mtlsd_request *request, struct corpus_ask *ret)
{
	const char *query = host->query(request);

	ret->path = host->path(request);
	ret->key = query && query[0] == 'k' ? strtoull(query + 2, NULL, 10) : 0;
	ret->error = corpus_ends_with(ret->path, "/error");
	ret->slow = corpus_ends_with(ret->path, "/slow");

	void *held = malloc(64 + corpus_below(1500)), *passing = malloc(16 + corpus_below(300));
	free(passing);
	if (!held)
		return 0;
	if (host->set_data(request, held, free) < 0) {
		free(held);
		return 0;
	}
	return host->alloc(request, 200) != NULL;
}

static inline mtlsd_action
corpus_answer(mtlsd_request *request, const struct corpus_ask *ask)
{
	if (ask->slow)
		return MTLSD_DEFER; /* until corpus_cancel */
	return host->respond(request, ask->error ? 500 : 200, "ok\n", 3) < 0 ? MTLSD_FAIL : MTLSD_DONE;
}

static inline void
corpus_cancel(void *user CORPUS_UNUSED, mtlsd_request *request, mtlsd_reason reason CORPUS_UNUSED)
{
	(void) host->finish(request, MTLSD_FAIL);
}

static inline int
corpus_is_new_session(const mtlsd_request *request)
{
	const char *session = host->header(request, "Session", 0);

	return session && strcmp(session, "new") == 0;
}

/* --- a plugin ---------------------------------------------------------------------------------------------------- */

#define CORPUS_OPTION_SEED                                                                                             \
	{                                                                                                              \
		.name = "seed", .type = MTLSD_OPTION_INT, .fallback = "1", .help = "Of the plugin's random numbers."   \
	}

static const mtlsd_option corpus_options[] CORPUS_UNUSED = {CORPUS_OPTION_SEED, {.name = NULL}};

static inline void
corpus_start(const mtlsd_host *given, const mtlsd_config *config)
{
	host = given;
	corpus_seed = (uint64_t) host->config_int(config, "seed");
	corpus_state = corpus_seed * 0xd1342543de82ef95 + 1;
}

static inline int
corpus_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	    void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	return 0;
}

/* What all descriptors of the corpus say alike; init and the rest follow. */
#define CORPUS_PLUGIN(plugin_name, plugin_summary)                                                                     \
	MTLSD_PLUGIN_HEAD(plugin_name, "1.0", plugin_summary), .cancel = corpus_cancel
