/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Jobs: where they run, how they end, what is remembered of them. */
#include "job.h"

#include "cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { RUNNING_MAX = 16, REMEMBERED_MAX = 32 };

/* Work waits until the gate opens. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
	int inside;
};

struct errand {
	struct job_queue *queue;
	struct gate *gate;
	uint64_t id;
	pthread_t worker;
	sigset_t mask;
	int worked, done;
	int result;
	const char *text; /* NULL: no result is set */
};

struct fixture {
	sd_event *event;
	struct job_queue *queue;
	struct gate gate;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	pthread_mutex_init(&f->gate.lock, NULL);
	pthread_cond_init(&f->gate.changed, NULL);
	f->gate.open = true;
	assert_true(sd_event_new(&f->event) >= 0);
	assert_int_equal(job_queue_new(f->event, &f->queue), 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	job_queue_free(&f->queue);
	sd_event_unref(f->event);
	pthread_cond_destroy(&f->gate.changed);
	pthread_mutex_destroy(&f->gate.lock);
	free(f);
	return 0;
}

static void
gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->open = true;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

static void
gate_wait_inside(struct gate *gate, int count)
{
	pthread_mutex_lock(&gate->lock);
	while (gate->inside < count)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

static void
errand_work(void *argument)
{
	struct errand *errand = argument;

	errand->worker = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &errand->mask);
	pthread_mutex_lock(&errand->gate->lock);
	errand->gate->inside++;
	pthread_cond_broadcast(&errand->gate->changed);
	while (!errand->gate->open)
		pthread_cond_wait(&errand->gate->changed, &errand->gate->lock);
	pthread_mutex_unlock(&errand->gate->lock);
	errand->worked++;
}

static void
errand_done(void *argument)
{
	struct errand *errand = argument;

	assert_false(pthread_equal(errand->worker, pthread_self()));
	assert_int_equal(errand->worked, 1);
	if (errand->text)
		job_set_result(errand->queue, errand->id, errand->result, errand->text);
	errand->done++;
}

static int
start(struct fixture *f, struct errand *errand, const char *what)
{
	errand->queue = f->queue;
	errand->gate = &f->gate;
	return job_start(f->queue, what, errand_work, errand_done, errand, &errand->id);
}

static void
run_until_done(struct fixture *f, const struct errand *errand)
{
	while (!errand->done)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
}

static void
test_work_runs_on_its_thread_and_done_on_ours(void **state)
{
	struct fixture *f = *state;
	struct errand errand = {.text = "went well"};
	struct job_info jobs[4];

	assert_int_equal(start(f, &errand, "restart leak"), 0);
	assert_int_equal(errand.id, 1);
	assert_int_equal(errand.done, 0);
	run_until_done(f, &errand);
	assert_int_equal(errand.done, 1);
	/* Signals are the main loop's. */
	assert_int_equal(sigismember(&errand.mask, SIGTERM), 1);
	assert_int_equal(sigismember(&errand.mask, SIGHUP), 1);
	assert_int_equal(job_list(f->queue, jobs, ARRAY_LENGTH(jobs)), 1);
	assert_int_equal(jobs[0].id, 1);
	assert_string_equal(jobs[0].what, "restart leak");
	assert_string_equal(jobs[0].text, "went well");
	assert_int_equal(jobs[0].result, 0);
	assert_true(jobs[0].started > 0 && jobs[0].ended >= jobs[0].started);
}

static void
test_the_mask_of_the_starter_is_restored(void **state)
{
	struct fixture *f = *state;
	struct errand errand = {0};
	sigset_t mask;

	assert_int_equal(start(f, &errand, "x"), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_int_equal(sigismember(&mask, SIGTERM), 0);
	run_until_done(f, &errand);
}

static void
test_running_jobs_are_listed_and_bounded(void **state)
{
	struct fixture *f = *state;
	struct errand errands[RUNNING_MAX + 1] = {0};
	struct job_info jobs[RUNNING_MAX];

	f->gate.open = false;
	for (int i = 0; i < RUNNING_MAX; i++)
		assert_int_equal(start(f, &errands[i], "wait"), 0);
	assert_int_equal(start(f, &errands[RUNNING_MAX], "one too many"), -EAGAIN);
	assert_int_equal(errands[RUNNING_MAX].id, 0);
	gate_wait_inside(&f->gate, RUNNING_MAX);
	assert_int_equal(job_list(f->queue, jobs, RUNNING_MAX), RUNNING_MAX);
	for (uint64_t i = 0; i < RUNNING_MAX; i++) {
		assert_int_equal(jobs[i].id, i + 1);
		assert_int_equal(jobs[i].ended, 0);
	}
	/* A small buffer gets the first, and is told how many there are. */
	memset(jobs, 0, sizeof(jobs));
	assert_int_equal(job_list(f->queue, jobs, 2), RUNNING_MAX);
	assert_int_equal(jobs[1].id, 2);
	assert_int_equal(jobs[2].id, 0);
	gate_open(&f->gate);
	for (int i = 0; i < RUNNING_MAX; i++)
		run_until_done(f, &errands[i]);
	/* Room again. */
	assert_int_equal(start(f, &errands[RUNNING_MAX], "now"), 0);
	assert_int_equal(errands[RUNNING_MAX].id, RUNNING_MAX + 1);
	run_until_done(f, &errands[RUNNING_MAX]);
}

static void
test_only_outcomes_are_remembered_and_only_the_last(void **state)
{
	struct fixture *f = *state;
	struct job_info jobs[REMEMBERED_MAX + 8];

	for (int i = 1; i <= REMEMBERED_MAX + 5; i++) {
		struct errand silent = {0}, told = {.text = "no", .result = -EBUSY};

		assert_int_equal(start(f, &silent, "read"), 0);
		run_until_done(f, &silent);
		assert_int_equal(start(f, &told, "change"), 0);
		run_until_done(f, &told);
	}
	assert_int_equal(job_list(f->queue, jobs, ARRAY_LENGTH(jobs)), REMEMBERED_MAX);
	for (uint64_t i = 0; i < REMEMBERED_MAX; i++) {
		/* Even numbers were told, the first five are forgotten. */
		assert_int_equal(jobs[i].id, (i + 6) * 2);
		assert_string_equal(jobs[i].what, "change");
		assert_int_equal(jobs[i].result, -EBUSY);
	}
}

static void
test_long_words_are_cut(void **state)
{
	struct fixture *f = *state;
	char words[500];
	struct errand errand = {.text = words};
	struct job_info job;

	memset(words, 'w', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	assert_int_equal(start(f, &errand, words), 0);
	run_until_done(f, &errand);
	assert_int_equal(job_list(f->queue, &job, 1), 1);
	assert_int_equal(strlen(job.what), sizeof(job.what) - 1);
	assert_int_equal(strlen(job.text), sizeof(job.text) - 1);
}

static void
test_free_waits_and_tells(void **state)
{
	struct fixture *f = *state;
	struct errand errands[3] = {{.text = "a"}, {.text = "b"}, {0}};

	for (size_t i = 0; i < ARRAY_LENGTH(errands); i++)
		assert_int_equal(start(f, &errands[i], "end"), 0);
	job_queue_free(&f->queue);
	assert_null(f->queue);
	for (size_t i = 0; i < ARRAY_LENGTH(errands); i++)
		assert_int_equal(errands[i].done, 1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_work_runs_on_its_thread_and_done_on_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_mask_of_the_starter_is_restored, setup, teardown),
		cmocka_unit_test_setup_teardown(test_running_jobs_are_listed_and_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_outcomes_are_remembered_and_only_the_last, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_words_are_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_waits_and_tells, setup, teardown),
	};

	return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
