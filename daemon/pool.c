/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

#include "cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

struct pool {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake;
	struct pool_job *first, **last;
	size_t queued;
	unsigned places; /* free places */
	bool ending;
	unsigned started;
	char name[16];
	pthread_t threads[];
};

static void *
pool_thread(void *arg)
{
	struct pool *pool = arg;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (pool->first == NULL && !pool->ending)
			pthread_cond_wait(&pool->wake, &pool->lock);
		struct pool_job *job = pool->first;
		if (job == NULL)
			break;
		pool->first = job->next;
		if (pool->first == NULL)
			pool->last = &pool->first;
		pool->queued--;
		bool reserved = job->reserved;
		pthread_mutex_unlock(&pool->lock);
		job->work(job); /* may free the job */
		pthread_mutex_lock(&pool->lock);
		if (reserved)
			pool->places++;
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int
pool_new(const char *name, unsigned threads, unsigned places, struct pool **ret)
{
	struct pool *pool = calloc(1, sizeof(*pool) + threads * sizeof(pthread_t));
	if (pool == NULL)
		return -ENOMEM;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	pool->last = &pool->first;
	pool->places = threads + places;
	snprintf(pool->name, sizeof(pool->name), "%s", name);
	for (unsigned i = 0; i < threads; i++) {
		int r = pthread_create(&pool->threads[i], NULL, pool_thread, pool);
		if (r != 0) {
			pool_free(&pool);
			return -r;
		}
		pool->started++;
		pthread_setname_np(pool->threads[i], pool->name);
	}
	*ret = pool;
	return 0;
}

bool
pool_reserve(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	bool got = pool->places > 0;
	if (got)
		pool->places--;
	pthread_mutex_unlock(&pool->lock);
	return got;
}

static void
pool_append(struct pool *pool, struct pool_job *job, bool reserved)
{
	job->next = NULL;
	job->reserved = reserved;
	pthread_mutex_lock(&pool->lock);
	*pool->last = job;
	pool->last = &job->next;
	pool->queued++;
	pthread_cond_signal(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
}

void
pool_push_reserved(struct pool *pool, struct pool_job *job)
{
	pool_append(pool, job, true);
}

void
pool_push(struct pool *pool, struct pool_job *job)
{
	pool_append(pool, job, false);
}

size_t
pool_queued(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	size_t queued = pool->queued;
	pthread_mutex_unlock(&pool->lock);
	return queued;
}

void
pool_free(struct pool **poolp)
{
	struct pool *pool = *poolp;
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->started; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	*poolp = NULL;
}
