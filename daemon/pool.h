/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* pool.h - a fixed number of threads working off one queue; for plugins that block and for late work.
 *
 * Jobs are embedded in their objects, so that queueing never allocates. Work that must run is pushed; new requests
 * first reserve one of the bounded places (pool_reserve), so that a full queue is known before anything is suspended.
 *
 * Threads: any; work runs on the pool's threads. Owns: its threads.
 */
#include <stdbool.h>
#include <stddef.h>

struct pool;

struct pool_job {
	struct pool_job *next; /* private */
	bool reserved;         /* private */
	void (*work)(struct pool_job *job);
};

/* places: how many reserved jobs may wait or run beyond the threads themselves. */
int pool_new(const char *name, unsigned threads, unsigned places, struct pool **ret);
/* Takes a place for a job to be pushed with pool_push_reserved; false: full. */
bool pool_reserve(struct pool *pool);
void pool_push_reserved(struct pool *pool, struct pool_job *job);
void pool_push(struct pool *pool, struct pool_job *job);
/* Jobs waiting, running ones not counted. */
size_t pool_queued(struct pool *pool);
/* Works off what is queued, then ends the threads. Accepts NULL. */
void pool_free(struct pool **pool);
