/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "step.h"

#include "connection.h"
#include "crash.h"

#include <errno.h>
#include <string.h>

static bool
is_blocking(const struct step *step)
{
	return instance_pool(step->visit.instance) != NULL;
}

static const mtlsd_plugin *
step_plugin(const struct step *step)
{
	return instance_descriptor(step->visit.instance);
}

static void
count(const struct step *step, enum plugin_counter counter)
{
	stats_add(plugin_stats(step->visit.plugin), counter, 1);
}

/* --- visits ------------------------------------------------------------------------------------------------------ */

static void
visit_hold(struct plugin_visit *visit)
{
	atomic_fetch_add(&CONTAINER_OF(visit, struct step, visit)->request->refs, 1);
}

static void
visit_release(struct plugin_visit *visit)
{
	request_unref(CONTAINER_OF(visit, struct step, visit)->request);
}

static void
visit_cancel(struct plugin_visit *visit, mtlsd_reason reason)
{
	step_cancel(CONTAINER_OF(visit, struct step, visit), reason);
}

/* False: the 503 page is set. */
static bool
step_is_admitted(struct step *step, struct plugin *plugin)
{
	struct breaker *breaker = plugin_breaker(plugin);
	uint64_t wait = 0;

	step->trial = false;
	if (breaker_is_closed(breaker) ||
	    breaker_admit(breaker, deadline_now(step->request->service->wheel), &step->trial, &wait))
		return true;
	stats_add(plugin_stats(plugin), PLUGIN_REFUSED_BREAKER, 1);
	request_refuse(step->request, wait, "the service behind this address is recovering; try again later");
	return false;
}

/* What a request's end says of the plugin, to its breaker. class: of the answer, 0: none. */
static void
step_judge(const struct step *step, unsigned class)
{
	const struct request *request = step->request;
	enum breaker_outcome outcome = BREAKER_GOOD;

	/* A full queue never asked the plugin; a client that leaves and a drain say nothing of it. */
	if (!step->called || request->cancelled == MTLSD_CLIENT_GONE || request->cancelled == MTLSD_DRAIN)
		outcome = BREAKER_UNKNOWN;
	else if (class == 5 && step == &request->steps[request->current])
		outcome = BREAKER_BAD;
	/* The usual end needs no clock. */
	uint64_t now = step->trial || outcome == BREAKER_BAD ? deadline_now(request->service->wheel) : 0;
	breaker_ended(plugin_breaker(step->visit.plugin), now, step->trial, outcome);
}

bool
step_enter(struct step *step)
{
	struct request *request = step->request;
	struct plugin *plugin = request->snapshot->plugins[step->config->index];

	step->visit.hold = visit_hold;
	step->visit.cancel = visit_cancel;
	step->visit.release = visit_release;
	if (!step_is_admitted(step, plugin))
		return false;
	if (!plugin_enter(plugin, &step->visit)) {
		if (step->trial)
			breaker_ended(plugin_breaker(plugin), deadline_now(request->service->wheel), true,
				      BREAKER_UNKNOWN);
		stats_add(plugin_stats(plugin), PLUGIN_REFUSED_DISABLED, 1);
		request_page(request, 503, "the service behind this address is not running; try again");
		return false;
	}
	atomic_fetch_add(&request->refs, 1);
	stats_add(plugin_stats(plugin), PLUGIN_REQUESTS, 1);
	connection_reach(request->connection, instance_exposure(step->visit.instance));
	step->until = deadline_now(request->service->wheel) + step->config->deadline;
	if (scope_active()) /* without the layer there is nothing to book */
		(void) scope_booking_open(instance_space(step->visit.instance), &step->booking);
	return true;
}

/* --- close ------------------------------------------------------------------------------------------------------- */

void
step_drop_stream(struct request *request)
{
	struct step *step = request->stream_step;
	if (step == NULL)
		return;
	request->stream_step = NULL;
	if (request->stream.release != NULL) {
		struct instance_call call;
		instance_call_begin(step->visit.instance, &call, step->booking);
		request->stream.release(request->stream_context);
		instance_call_end(&call);
	}
}

/* One request in so many shows how the instance does, when it holds nothing any more. */
static bool
step_is_sampled(const struct step *step)
{
	return step->booking != NULL && scope_booking_epoch(step->booking) % SIGNALS_SAMPLE_EVERY == 0;
}

static void
step_observe(const struct step *step)
{
	struct instance *instance = step->visit.instance;
	const struct instance_observer *observer = instance_observer(instance);
	uint64_t now = deadline_now(step->request->service->wheel);
	struct signals_sample sample;

	if (observer != NULL && plugin_glance(step->visit.plugin, instance, now, &sample))
		(void) observer->observe(observer->ctx, now, &sample);
}

/* The phase is CLOSED already: nobody else touches the step. */
static void
step_close(struct step *step)
{
	struct request *request = step->request;
	struct instance *instance = step->visit.instance;
	struct stats *stats = plugin_stats(step->visit.plugin);
	struct instance_call call;
	uint64_t bytes = 0, blocks = 0;

	if (request->stream_step == step)
		step_drop_stream(request);
	if (step->called || step->release != NULL) {
		instance_call_begin(instance, &call, step->booking);
		if (step->called && step_plugin(step)->done != NULL)
			step_plugin(step)->done(instance_user(instance), (mtlsd_request *) step,
						request->outcome == REQUEST_SENT ? MTLSD_SENT : MTLSD_ABORTED);
		if (step->release != NULL)
			step->release(step->data);
		instance_call_end(&call);
	}
	/* Whatever was set, a client that is gone got no answer. */
	bool is_sampled = step_is_sampled(step),
	     answered = request->answered && request->cancelled != MTLSD_CLIENT_GONE;
	unsigned class = answered ? (unsigned) request->response.status / 100 : 0;
	scope_arena_free(&step->arena);
	if (step->booking != NULL)
		scope_booking_close(&step->booking, request->snapshot->route_numbers[request->route->index], class,
				    &bytes, &blocks);
	stats_add(stats, PLUGIN_STATUS_0 + class, 1);
	if (bytes > 0) {
		stats_add(stats, PLUGIN_ESCAPED_BYTES, bytes);
		stats_add(stats, PLUGIN_ESCAPED_BLOCKS, blocks);
	}
	if (class == 0 || class >= 4)
		exposure_fail(instance_exposure(instance));
	step_judge(step, class);
	if (is_sampled)
		step_observe(step);
	plugin_leave(&step->visit);
	request_unref(request);
}

static void
close_job(struct pool_job *job)
{
	step_close(CONTAINER_OF(job, struct step, job));
}

/* Closes the step if its time has come. Where a callback of the plugin may run on the calling thread, inline is true.
 */
static void
step_try_close(struct step *step, bool here)
{
	struct request *request = step->request;

	pthread_mutex_lock(&request->lock);
	bool idle = step->phase == STEP_NEW || step->phase == STEP_OVER || step->phase == STEP_UPLOAD ||
		    (step->phase == STEP_READY && request->ended);
	bool ready = idle && !step->cancelling && (request->ended || step->early);
	if (ready)
		step->phase = STEP_CLOSED;
	pthread_mutex_unlock(&request->lock);
	if (!ready)
		return;
	step->job.work = close_job;
	if (is_blocking(step))
		pool_push(instance_pool(step->visit.instance), &step->job);
	else if (here)
		step_close(step);
	else
		pool_push(request->service->late, &step->job);
}

void
step_end(struct step *step)
{
	step_try_close(step, true);
}

/* --- calls ------------------------------------------------------------------------------------------------------- */

static mtlsd_action
step_invoke(struct step *step, bool body)
{
	struct request *request = step->request;
	const mtlsd_plugin *plugin = step_plugin(step);
	void *user = instance_user(step->visit.instance);
	struct instance_call call;

	instance_call_begin(step->visit.instance, &call, step->booking);
	crash_note(request->route->name, request->head.path);
	mtlsd_action action =
		body ? plugin->body(user, (mtlsd_request *) step, request->piece_length > 0 ? request->piece : "",
				    request->piece_length)
		     : plugin->request(user, (mtlsd_request *) step);
	crash_note(NULL, NULL);
	instance_call_end(&call);
	return action;
}

/* With the lock held, after a callback returned: true if the action is READY. */
static bool
step_returned(struct step *step, mtlsd_action action)
{
	if (action == MTLSD_DEFER && !step->finished) {
		step->phase = STEP_HELD;
		return false;
	}
	if (action != MTLSD_DEFER)
		step->action = action;
	step->finished = false;
	step->phase = STEP_READY;
	return true;
}

/* With the lock held: true if the caller must resume the transport after unlocking. */
static bool
take_resume(struct request *request)
{
	bool owed = request->suspended;
	request->suspended = false;
	return owed;
}

static void
call_job(struct pool_job *job)
{
	struct step *step = CONTAINER_OF(job, struct step, job);
	struct request *request = step->request;
	bool body = step->queued_body;

	pthread_mutex_lock(&request->lock);
	bool skip = request->cancelled != 0;
	step->called |= !skip;
	pthread_mutex_unlock(&request->lock);
	mtlsd_action action = skip ? MTLSD_FAIL : step_invoke(step, body);

	pthread_mutex_lock(&request->lock);
	bool ready = step_returned(step, action);
	bool resume = ready && request->cancelled == 0 && take_resume(request);
	bool orphan = ready && request->cancelled != 0;
	if (orphan)
		step->phase = STEP_OVER;
	atomic_fetch_add(&request->refs, 1);
	pthread_mutex_unlock(&request->lock);
	if (resume)
		request->ops->resume(request->transport);
	if (orphan)
		step_try_close(step, true);
	request_unref(request);
}

/* With the lock held. The deadline covers all of the step's waits. */
static void
suspend(struct request *request)
{
	request->suspended = true;
	request->ops->suspend(request->transport);
}

static void
arm(struct request *request, struct step *step)
{
	if (request->armed)
		return;
	request->armed = true;
	deadline_arm(request->service->wheel, &request->deadline, step->until);
}

/* False: cancelled before the plugin was called. */
static bool
step_begin(struct step *step, bool queue)
{
	struct request *request = step->request;

	pthread_mutex_lock(&request->lock);
	bool go = request->cancelled == 0;
	if (go) {
		step->phase = STEP_CALLING;
		step->called |= !queue;
		if (queue)
			suspend(request);
	}
	pthread_mutex_unlock(&request->lock);
	return go;
}

static bool
step_queue(struct step *step, bool body)
{
	struct request *request = step->request;
	struct pool *pool = instance_pool(step->visit.instance);

	if (!body && !pool_reserve(pool)) {
		count(step, PLUGIN_REFUSED_FULL);
		request_page(request, 503, "too many requests wait for this service; try again");
		return true;
	}
	if (body && !request->piece_copied && request->piece_length > 0) {
		/* The transport's buffer is its own again once this step returned. */
		void *copy = malloc(request->piece_length);
		if (copy == NULL) {
			request_page(request, 503, "out of memory; try again");
			return true;
		}
		request->piece = memcpy(copy, request->piece, request->piece_length);
		request->piece_copied = true;
	}
	step->job.work = call_job;
	step->queued_body = body;
	if (!step_begin(step, true))
		return true;
	arm(request, step);
	if (body)
		pool_push(pool, &step->job);
	else
		pool_push_reserved(pool, &step->job);
	return false;
}

bool
step_call(struct step *step, bool body)
{
	struct request *request = step->request;

	if (is_blocking(step))
		return step_queue(step, body);
	if (!step_begin(step, false))
		return true;
	mtlsd_action action = step_invoke(step, body);
	pthread_mutex_lock(&request->lock);
	bool ready = step_returned(step, action);
	/* A cancel that came while the callback ran found nothing to resume: what is deferred now is nobody's. */
	bool wait = !ready && request->cancelled == 0;
	if (wait)
		suspend(request);
	pthread_mutex_unlock(&request->lock);
	if (wait)
		arm(request, step);
	return !wait;
}

mtlsd_action
step_take(struct step *step)
{
	struct request *request = step->request;

	pthread_mutex_lock(&request->lock);
	mtlsd_action action = step->action;
	step->phase = action == MTLSD_MORE ? STEP_UPLOAD : STEP_OVER;
	pthread_mutex_unlock(&request->lock);
	if (step->early)
		step_try_close(step, true);
	return action;
}

int
step_finish(struct step *step, mtlsd_action action)
{
	struct request *request = step->request;
	int r = 0;
	bool resume = false, orphan = false;

	if (action != MTLSD_DONE && action != MTLSD_PASS && action != MTLSD_FAIL)
		return -EINVAL;
	pthread_mutex_lock(&request->lock);
	if (step->phase == STEP_CALLING && !step->finished) {
		step->finished = true;
		step->action = action;
		r = request->cancelled != 0 ? -ECANCELED : 0;
	} else if (step->phase == STEP_HELD) {
		orphan = request->cancelled != 0;
		step->action = action;
		step->phase = orphan ? STEP_OVER : STEP_READY;
		resume = !orphan && take_resume(request);
		r = orphan ? -ECANCELED : 0;
	} else {
		r = -EINVAL;
	}
	atomic_fetch_add(&request->refs, 1);
	pthread_mutex_unlock(&request->lock);
	if (resume)
		request->ops->resume(request->transport);
	if (orphan)
		step_try_close(step, false);
	request_unref(request);
	return r;
}

/* --- cancel ------------------------------------------------------------------------------------------------------ */

static void
cancel_job(struct pool_job *job)
{
	struct step *step = CONTAINER_OF(job, struct step, cancel_job);
	struct request *request = step->request;
	struct instance_call call;

	instance_call_begin(step->visit.instance, &call, step->booking);
	step_plugin(step)->cancel(instance_user(step->visit.instance), (mtlsd_request *) step, request->cancelled);
	instance_call_end(&call);
	pthread_mutex_lock(&request->lock);
	step->cancelling = false;
	pthread_mutex_unlock(&request->lock);
	step_try_close(step, true);
	request_unref(request);
}

/* With the lock held: whether and where the plugin's cancel callback is to run; NULL: not at all. A plugin that is not
 * concurrent keeps its promise: nothing runs beside its callback, which may ask `cancelled` instead. */
static struct pool *
cancel_pool(const struct step *step)
{
	bool concurrent = (step_plugin(step)->flags & MTLSD_CONCURRENT) != 0;

	if (step_plugin(step)->cancel == NULL || !step->called)
		return NULL;
	if (step->phase != STEP_HELD && !(step->phase == STEP_CALLING && concurrent && is_blocking(step)))
		return NULL;
	return is_blocking(step) && !concurrent ? instance_pool(step->visit.instance) : step->request->service->late;
}

void
step_cancel(struct step *step, mtlsd_reason reason)
{
	struct request *request = step->request;
	bool resume = false;
	struct pool *pool = NULL;

	pthread_mutex_lock(&request->lock);
	bool waited_for = step == request_step(request) && !request->answered && request->cancelled == 0;
	if (step->phase == STEP_CLOSED) {
		/* it is on its way out */
	} else if (waited_for && (step->phase == STEP_CALLING || step->phase == STEP_HELD)) {
		request->cancelled = reason;
		pool = cancel_pool(step);
		step->cancelling = pool != NULL;
		resume = take_resume(request);
		if (reason == MTLSD_DEADLINE)
			count(step, PLUGIN_DEADLINE);
		else if (reason == MTLSD_DRAIN)
			count(step, PLUGIN_CANCELLED);
	} else if (reason == MTLSD_DRAIN) {
		/* Nothing of the plugin runs, but its instance must go: end its part before the transport's end. */
		if (waited_for)
			request->cancelled = reason;
		if (request->stream_step == step) {
			request->stream_broken = true;
			if (request->stream_waiting) {
				request->stream_waiting = false;
				resume = take_resume(request);
			}
		} else {
			step->early = true;
		}
	}
	if (pool != NULL)
		atomic_fetch_add(&request->refs, 1);
	pthread_mutex_unlock(&request->lock);
	if (resume)
		request->ops->resume(request->transport);
	if (pool != NULL) {
		step->cancel_job.work = cancel_job;
		pool_push(pool, &step->cancel_job);
	}
	step_try_close(step, false);
}
