/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "job.h"

#include "cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

enum { JOB_RUNNING_MAX = 16, JOB_REMEMBERED_MAX = 32 };

struct job {
	struct job_queue *queue;
	struct job *next; /* in queue->ended, guarded by its lock */
	struct job_info info;
	pthread_t thread;
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
	bool has_result;
};

struct job_queue {
	sd_event_source *source;
	int wake;             /* eventfd: a job was put on the ended list */
	pthread_mutex_t lock; /* guards ended, and nothing else: the rest is the main thread's */
	pthread_cond_t changed;
	struct job *ended;
	struct job *running[JOB_RUNNING_MAX];
	struct job_info remembered[JOB_REMEMBERED_MAX]; /* a ring; the next goes to remembered_next */
	size_t remembered_count, remembered_next;
	uint64_t last_id;
};

static void *
job_thread(void *argument)
{
	struct job *job = argument;
	struct job_queue *queue = job->queue;

	job->work(job->arg);
	pthread_mutex_lock(&queue->lock);
	job->next = queue->ended;
	queue->ended = job;
	/* Under the lock: after it the job, and soon the queue, may be gone. */
	(void) eventfd_write(queue->wake, 1);
	pthread_cond_signal(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

static void
job_remember(struct job_queue *queue, const struct job_info *info)
{
	queue->remembered[queue->remembered_next] = *info;
	queue->remembered_next = (queue->remembered_next + 1) % JOB_REMEMBERED_MAX;
	if (queue->remembered_count < JOB_REMEMBERED_MAX)
		queue->remembered_count++;
}

static void
job_finish(struct job *job)
{
	struct job_queue *queue = job->queue;

	pthread_join(job->thread, NULL);
	job->info.ended = (uint64_t) time(NULL);
	/* Still listed as running, so that done can give its result. */
	if (job->done != NULL)
		job->done(job->arg);
	for (size_t i = 0; i < JOB_RUNNING_MAX; i++)
		if (queue->running[i] == job)
			queue->running[i] = NULL;
	if (job->has_result)
		job_remember(queue, &job->info);
	free(job);
}

static void
job_finish_ended(struct job_queue *queue)
{
	struct job *list, *next;

	pthread_mutex_lock(&queue->lock);
	list = STEAL(queue->ended);
	pthread_mutex_unlock(&queue->lock);
	for (; list; list = next) {
		next = list->next;
		job_finish(list);
	}
}

static int
job_woken(sd_event_source *source UNUSED, int fd, uint32_t events UNUSED, void *userdata)
{
	eventfd_t ignored;

	(void) eventfd_read(fd, &ignored);
	job_finish_ended(userdata);
	return 0;
}

int
job_queue_new(sd_event *event, struct job_queue **ret)
{
	CLEANUP(job_queue_free) struct job_queue *queue = calloc(1, sizeof(*queue));
	int r;

	if (!queue)
		return -ENOMEM;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	queue->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->wake < 0)
		return -errno;
	r = sd_event_add_io(event, &queue->source, queue->wake, EPOLLIN, job_woken, queue);
	if (r < 0)
		return r;
	*ret = STEAL(queue);
	return 0;
}

/* Signals belong to the main loop. */
static int
job_create_thread(struct job *job)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&job->thread, NULL, job_thread, job);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	/* "Again" is what a full queue says; this is a want of memory or of threads. */
	return r == EAGAIN ? -ENOMEM : -r;
}

int
job_start(struct job_queue *queue, const char *what, void (*work)(void *arg), void (*done)(void *arg), void *arg,
	  uint64_t *ret_id)
{
	struct job *job;
	size_t place = 0;
	uint64_t id;
	int r;

	while (place < JOB_RUNNING_MAX && queue->running[place])
		place++;
	if (place == JOB_RUNNING_MAX)
		return -EAGAIN;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->queue = queue;
	job->work = work;
	job->done = done;
	job->arg = arg;
	id = job->info.id = queue->last_id + 1;
	job->info.started = (uint64_t) time(NULL);
	snprintf(job->info.what, sizeof(job->info.what), "%s", what);
	r = job_create_thread(job);
	if (r < 0) {
		free(job);
		return r;
	}
	queue->running[place] = job;
	queue->last_id = id;
	if (ret_id)
		*ret_id = id;
	return 0;
}

void
job_set_result(struct job_queue *queue, uint64_t id, int result, const char *text)
{
	for (size_t i = 0; i < JOB_RUNNING_MAX; i++) {
		struct job *job = queue->running[i];

		if (!job || job->info.id != id)
			continue;
		job->has_result = true;
		job->info.result = result;
		snprintf(job->info.text, sizeof(job->info.text), "%s", text);
	}
}

static int
job_compare(const void *a, const void *b)
{
	const struct job_info *first = a, *second = b;

	return (first->id > second->id) - (first->id < second->id);
}

size_t
job_list(const struct job_queue *queue, struct job_info *ret, size_t size)
{
	struct job_info all[JOB_REMEMBERED_MAX + JOB_RUNNING_MAX];
	size_t count = 0;

	for (size_t i = 0; i < queue->remembered_count; i++)
		all[count++] = queue->remembered[i];
	for (size_t i = 0; i < JOB_RUNNING_MAX; i++)
		if (queue->running[i])
			all[count++] = queue->running[i]->info;
	qsort(all, count, sizeof(all[0]), job_compare);
	memcpy(ret, all, (count < size ? count : size) * sizeof(all[0]));
	return count;
}

static bool
job_is_running(const struct job_queue *queue)
{
	for (size_t i = 0; i < JOB_RUNNING_MAX; i++)
		if (queue->running[i])
			return true;
	return false;
}

void
job_queue_free(struct job_queue **queue)
{
	struct job_queue *q = *queue;

	if (!q)
		return;
	while (job_is_running(q)) {
		pthread_mutex_lock(&q->lock);
		while (!q->ended)
			pthread_cond_wait(&q->changed, &q->lock);
		pthread_mutex_unlock(&q->lock);
		job_finish_ended(q);
	}
	sd_event_source_disable_unref(q->source);
	if (q->wake >= 0)
		(void) close(q->wake);
	pthread_cond_destroy(&q->changed);
	pthread_mutex_destroy(&q->lock);
	free(STEAL(*queue));
}
