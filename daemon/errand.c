/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "errand.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/eventfd.h>

struct errand {
	int (*work)(void *arg, struct error *error);
	void *arg;
	struct error *error;
	int result;
	bool done;
};

struct errands {
	sd_event_source *source;
	int fd;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t done;
	struct errand *waiting;
	bool over;
};

static int
errand_arrived(sd_event_source *source UNUSED, int fd, uint32_t revents UNUSED, void *userdata)
{
	struct errands *errands = userdata;
	uint64_t count;

	(void) !read(fd, &count, sizeof(count));
	pthread_mutex_lock(&errands->lock);
	struct errand *errand = errands->waiting;
	errands->waiting = NULL;
	pthread_mutex_unlock(&errands->lock);
	if (errand == NULL)
		return 0;
	int result = errand->work(errand->arg, errand->error);
	pthread_mutex_lock(&errands->lock);
	errand->result = result;
	errand->done = true;
	pthread_cond_broadcast(&errands->done);
	pthread_mutex_unlock(&errands->lock);
	return 0;
}

int
errands_new(sd_event *event, struct errands **ret)
{
	CLEANUP(errands_free) struct errands *errands = calloc(1, sizeof(*errands));
	if (errands == NULL)
		return -ENOMEM;
	pthread_mutex_init(&errands->lock, NULL);
	pthread_cond_init(&errands->done, NULL);
	errands->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (errands->fd < 0)
		return -errno;
	int r = sd_event_add_io(event, &errands->source, errands->fd, EPOLLIN, errand_arrived, errands);
	if (r < 0)
		return r;
	*ret = STEAL(errands);
	return 0;
}

int
errand_run(struct errands *errands, int (*work)(void *arg, struct error *error), void *arg, struct error *error)
{
	struct errand *errand = calloc(1, sizeof(*errand)); /* others point to it */
	const uint64_t one = 1;
	int result;

	if (errand == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	*errand = (struct errand){.work = work, .arg = arg, .error = error};
	pthread_mutex_lock(&errands->lock);
	if (errands->over) {
		result = error_set(error, -ESHUTDOWN, "the daemon is ending");
	} else {
		errands->waiting = errand;
		(void) !write(errands->fd, &one, sizeof(one));
		while (!errand->done)
			pthread_cond_wait(&errands->done, &errands->lock);
		result = errand->result;
	}
	pthread_mutex_unlock(&errands->lock);
	free(errand);
	return result;
}

void
errands_end(struct errands *errands)
{
	pthread_mutex_lock(&errands->lock);
	errands->over = true;
	if (errands->waiting != NULL) {
		errands->waiting->result = error_set(errands->waiting->error, -ESHUTDOWN, "the daemon is ending");
		errands->waiting->done = true;
		errands->waiting = NULL;
		pthread_cond_broadcast(&errands->done);
	}
	pthread_mutex_unlock(&errands->lock);
}

void
errands_free(struct errands **errandsp)
{
	struct errands *errands = *errandsp;
	if (errands == NULL)
		return;
	sd_event_source_disable_unref(errands->source);
	if (errands->fd >= 0)
		(void) close(errands->fd);
	pthread_cond_destroy(&errands->done);
	pthread_mutex_destroy(&errands->lock);
	free(errands);
	*errandsp = NULL;
}
