/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server-internal.h"

#include "event.h"
#include "handover.h"
#include "heap.h"
#include "monotonic.h"
#include "reserve.h"
#include "server-fault.h"
#include "signature.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>

enum { TICK = 1000000, DRAIN_LOOK = 20000, STOP_MARGIN = 10000000 };

/* --- what is told outside ------------------------------------------------------------------------------------------
 */

void
server_notify(struct server *server, const char *what)
{
	/* Not the endpoint: it is the main thread's, and a reload ends on a thread of its own. */
	CLEANUP(config_unref) struct config *config = server_config(server);
	int r = sd_notifyf(0, "%s\nSTATUS=%zu plugins on %zu listeners, configuration %" PRIu64, what,
			   supervisor_count(server->supervisor), config->listener_count, config->generation);
	/* A service manager that never hears of it would end us. */
	atomic_store(&server->untold, r < 0);
}

/* --- signals ---------------------------------------------------------------------------------------------------------
 */

static void
stop_work(void *arg)
{
	struct server *server = arg;
	/* Nothing is judged or restarted any more. */
	overseer_stop(server->overseer);
	uint64_t now = monotonic_now();
	supervisor_stop(server->supervisor, server->drain_until > now ? server->drain_until - now : 0);
}

static void
stop_done(void *arg)
{
	struct server *server = arg;
	sd_event_exit(server->event, server->exit_code);
}

/* Looks now and then until no connection is left or the time is up. */
static int
on_drain(sd_event_source *source, uint64_t now, void *userdata)
{
	struct server *server = userdata;

	if (!endpoint_idle(server->endpoint) && now < server->drain_until) {
		sd_event_source_set_time(source, now + DRAIN_LOOK);
		return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	}
	if (job_start(server->jobs, "stop", stop_work, stop_done, server, NULL) < 0)
		sd_event_exit(server->event, server->exit_code);
	return 0;
}

static int
on_terminate(sd_event_source *source UNUSED, const struct signalfd_siginfo *info, void *userdata)
{
	struct server *server = userdata;
	uint64_t now;

	if (atomic_exchange(&server->phase, SERVER_DRAINING) == SERVER_DRAINING) {
		event_log(EVENT_DRAINING, NULL, "signal %u again: not waiting any longer", info->ssi_signo);
		server->drain_until = 0;
		return 0;
	}
	struct config *config = server_config(server);
	event_log(EVENT_DRAINING, NULL, "signal %u: draining, at most %.1f s", info->ssi_signo,
		  (double) config->daemon.drain_timeout / 1e6);
	/* The unit need not know how long the configuration lets requests take. */
	sd_notifyf(0, "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=%" PRIu64,
		   config->daemon.drain_timeout + STOP_MARGIN);
	sd_event_now(server->event, CLOCK_MONOTONIC, &now);
	server->drain_until = now + config->daemon.drain_timeout;
	config_unref(&config);
	request_service_drain(server->service);
	endpoint_drain(server->endpoint);
	sd_event_source_set_time(server->drain_timer, now);
	return sd_event_source_set_enabled(server->drain_timer, SD_EVENT_ONESHOT);
}

static void
relieve(void *userdata)
{
	struct server *server = userdata;
	uint64_t bytes = heap_decay((uint32_t) (monotonic_now() / 1000000), 0);

	(void) malloc_trim(0);
	event_log(EVENT_PRESSURE, NULL, "memory is short: %" PRIu64 " KiB of free pages in plugin heaps given back",
		  bytes / 1024);
	overseer_pressure(server->overseer);
}

/* Libraries have been given of the reserve: nobody new is let in (edge-watch) until it is whole again. */
static void
mend_reserve(struct server *server)
{
	unsigned long spent = reserve_spent();
	bool scarce = reserve_missing() > 0;

	if (spent != server->reserve_spent && !server->scarce) {
		event_log(EVENT_DEGRADED, NULL,
			  "out of memory: what libraries needed came from the reserve; "
			  "new connections are turned away while it is not whole");
		relieve(server);
	}
	server->reserve_spent = spent;
	scarce = scarce && reserve_fill() > 0;
	if (server->scarce && !scarce)
		event_log(EVENT_PRESSURE, NULL, "the memory reserve is whole again");
	server->scarce = scarce;
}

static int
on_tick(sd_event_source *source, uint64_t now, void *userdata)
{
	struct server *server = userdata;

	mend_reserve(server);
	if (atomic_load(&server->untold) && atomic_load(&server->phase) == SERVER_RUNNING)
		server_notify(server, "READY=1");
	supervisor_tick(server->supervisor);
	overseer_tick(server->overseer);
	(void) request_service_settle(server->service);
	CLEANUP(config_unref) struct config *config = server_config(server);
	uint64_t decay = config->daemon.memory_decay;
	tls_keeper_tick(server->keeper, config);
	heap_decay((uint32_t) (now / 1000000), (uint32_t) (decay / 1000000));
	sd_event_source_set_time(source, now + TICK);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- start and end ---------------------------------------------------------------------------------------------------
 */

static int
commit_first(void *ctx, struct error *error)
{
	struct server *server = ctx;
	int r = request_service_apply(server->service, server->config);
	return r < 0 ? error_set(error, r, "out of memory") : 0;
}

static int
start_loop(struct server *server, struct error *error)
{
	sigset_t mask;
	uint64_t now;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &mask, NULL); /* before any thread exists: they all inherit it */
	signal(SIGPIPE, SIG_IGN);
	int r = sd_event_new(&server->event);
	if (r >= 0)
		r = sd_event_add_signal(server->event, NULL, SIGTERM, on_terminate, server);
	if (r >= 0)
		r = sd_event_add_signal(server->event, NULL, SIGINT, on_terminate, server);
	if (r >= 0)
		r = sd_event_add_signal(server->event, NULL, SIGHUP, server_on_hangup, server);
	if (r >= 0)
		r = errands_new(server->event, &server->errands);
	if (r >= 0)
		r = sd_event_now(server->event, CLOCK_MONOTONIC, &now);
	if (r >= 0)
		r = sd_event_add_time(server->event, &server->tick, CLOCK_MONOTONIC, now + TICK, 0, on_tick, server);
	/* Made now, since it must not be wanting when the daemon is told to end. */
	if (r >= 0)
		r = sd_event_add_time(server->event, &server->drain_timer, CLOCK_MONOTONIC, now, 1000, on_drain,
				      server);
	if (r >= 0)
		r = sd_event_source_set_enabled(server->drain_timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_set_watchdog(server->event, true);
	if (r >= 0)
		r = job_queue_new(server->event, &server->jobs);
	return r < 0 ? error_set(error, r, "cannot set up the event loop: %s", strerror(-r)) : 0;
}

/* Descriptors are what connections cost first: take what the system allows. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void) setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int
start_parts(struct server *server, struct error *error)
{
	struct config *config = server->config;

	int r = heap_reserve(0, 0);
	if (r < 0)
		return error_set(error, r,
				 "cannot reserve address space for plugin heaps: %s; is RLIMIT_AS set (ulimit -v)?",
				 strerror(-r));
	heap_on_fault(server_tell_fault, NULL);
	/* What libc sets up once for the whole process is not the doing of the plugin that asks first. */
	tzset();
	(void) signature_start(); /* without it all is well, at twice the price */
	r = supervisor_new(config->daemon.run_directory, &server->supervisor, error);
	if (r == 0) {
		heap_on_fault(server_tell_fault, server->supervisor);
		supervisor_on_fault_place(server->supervisor, server_tell_place, NULL);
		r = request_service_new(server->supervisor, &server->service);
		if (r == 0)
			r = accesslog_new(&server->accesslog);
		if (r == 0) {
			request_service_log(server->service, server->accesslog);
			r = accesslog_apply(server->accesslog, &config->daemon.access_log, error);
		}
		if (r == 0)
			r = overseer_new(server->supervisor, &server->overseer);
	}
	if (r == 0)
		r = supervisor_apply(server->supervisor, config, commit_first, server, error);
	if (r == 0)
		r = endpoint_new(config, server->service, &server->endpoint, error);
	if (r == 0)
		r = tls_keeper_new(server->event, server->endpoint, server->errands, server->jobs, server_reload_tls,
				   server, &server->keeper, error);
	if (r == 0) {
		tls_keeper_watch(server->keeper, config);
		r = control_new(server->event, &config->control, server, &server->control, error);
	}
	if (r == 0)
		r = endpoint_start(server->endpoint, error);
	return r;
}

static void
report_failed_plugins(struct server *server)
{
	struct supervisor_plugin plugin;
	for (size_t i = 0; supervisor_get(server->supervisor, i, &plugin) == 0; i++) {
		if (plugin.state == SUPERVISOR_FAILED)
			event_log(EVENT_DOWN, LOG_FIELDS({"MTLSD_PLUGIN", plugin.name}), "plugin %s does not serve: %s",
				  plugin.name, plugin.last_error);
	}
}

/* While there are no walls yet, which would not let it. */
static void
make_folder(const char *path, const char *loss)
{
	if (path != NULL && mkdir(path, 0700) < 0 && errno != EEXIST)
		event_log(EVENT_DEGRADED, NULL, "%s: cannot make %s: %m", loss, path);
}

/* Before there is any other thread, which the wall would not bind. */
static int
raise_walls(struct server *server, struct error *error)
{
	const struct config *config = server->config;
	const char *missing;

	if (mkdir(config->daemon.run_directory, 0755) < 0 && errno != EEXIST)
		return error_set(error, -errno, "cannot make %s (daemon.run_directory): %m",
				 config->daemon.run_directory);
	make_folder(config->daemon.dump_directory, "dumps cannot be kept (daemon.dump_directory)");
	make_folder(config->daemon.nonce_directory, "nonces cannot be kept (daemon.nonce_directory)");
	int r = wall_raise(config, &server->wall, &missing, error);
	if (r == 0 && missing != NULL)
		event_log(EVENT_DEGRADED, NULL, "%s", missing);
	return r;
}

int
server_new(const char *config_path, struct server **ret, struct error *error)
{
	CLEANUP(server_free) struct server *server = calloc(1, sizeof(*server));
	CLEANUP_FREE char *mistakes = NULL;
	if (server == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	(void) reserve_fill();
	server->started = (uint64_t) time(NULL);
	pthread_mutex_init(&server->lock, NULL);
	pthread_mutex_init(&server->reload, NULL);
	server->config_path = realpath(config_path, NULL);
	if (server->config_path == NULL)
		return error_set(error, -errno, "cannot open %s: %m", config_path);
	int r = config_load(server->config_path, &server->config, &mistakes);
	if (r < 0) {
		log_last_words();
		server_log_mistakes(mistakes);
		return error_set(error, r, "%s is not a valid configuration", config_path);
	}
	server->generation = server->config->generation = 1;
	log_set_level(server->config->daemon.log_level);
	raise_descriptor_limit();
	r = raise_walls(server, error);
	if (r == 0)
		r = start_loop(server, error);
	if (r == 0)
		r = start_parts(server, error);
	if (r < 0)
		return r;
	struct error why = {0};
	if (pressure_watch(server->event, relieve, server, &server->pressure, &why) < 0)
		event_log(EVENT_DEGRADED, NULL, "memory pressure is not watched: %s", why.text);
	r = wall_close(server->wall, error);
	if (r < 0)
		return r;
	report_failed_plugins(server);
	handover_prune_state();
	unsigned unwanted = handover_prune();
	if (unwanted > 0)
		event_log(EVENT_SOCKETS_CLOSED, NULL,
			  "closed %u sockets of the run before: not in the configuration any more", unwanted);
	*ret = STEAL(server);
	return 0;
}

/* sd_event_loop, but for one thing: that there is no memory to wait with is no reason to end. */
static int
server_loop(sd_event *event)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

	while (sd_event_get_state(event) != SD_EVENT_FINISHED) {
		int r = sd_event_run(event, UINT64_MAX);
		if (r == -ENOMEM)
			(void) nanosleep(&pause, NULL);
		else if (r < 0)
			return r;
	}
	int code = 0;
	int r = sd_event_get_exit_code(event, &code);
	return r < 0 ? r : code;
}

int
server_run(struct server *server)
{
	struct endpoint_listener listeners[16];
	size_t count = endpoint_listeners(server->endpoint, listeners, ARRAY_LENGTH(listeners));

	for (size_t i = 0; i < count && i < ARRAY_LENGTH(listeners); i++)
		log_info("listener %s serves on %s", listeners[i].name, listeners[i].address);
	atomic_store(&server->phase, SERVER_RUNNING);
	server_notify(server, "READY=1");
	int r = server_loop(server->event);
	errands_end(server->errands);
	if (r < 0) {
		event_log(EVENT_FAILED, NULL, "the event loop failed: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	event_log(EVENT_ENDED, NULL, "ended");
	return r;
}

void
server_free(struct server **serverp)
{
	struct server *server = *serverp;
	if (server == NULL)
		return;
	job_queue_free(&server->jobs);
	control_free(&server->control);
	tls_keeper_free(&server->keeper);
	endpoint_free(&server->endpoint);
	overseer_free(&server->overseer);
	if (server->supervisor != NULL)
		supervisor_stop(server->supervisor, 0);
	request_service_free(&server->service);
	accesslog_free(&server->accesslog);
	heap_on_fault(server_tell_fault, NULL); /* libraries may still free what they should not */
	supervisor_free(&server->supervisor);
	sd_event_source_unref(server->tick);
	sd_event_source_unref(server->drain_timer);
	errands_free(&server->errands);
	pressure_free(&server->pressure);
	sd_event_unref(server->event);
	wall_free(&server->wall);
	config_unref(&server->config);
	pthread_mutex_destroy(&server->reload);
	pthread_mutex_destroy(&server->lock);
	free(server->config_path);
	free(server);
	*serverp = NULL;
}

/* --- for commands ----------------------------------------------------------------------------------------------------
 */

void
server_access_log(const struct server *server, struct accesslog_counts *ret)
{
	accesslog_counts(server->accesslog, ret);
}

struct supervisor *
server_supervisor(struct server *server)
{
	return server->supervisor;
}

struct overseer *
server_overseer(struct server *server)
{
	return server->overseer;
}

struct endpoint *
server_endpoint(struct server *server)
{
	return server->endpoint;
}

struct config *
server_config(struct server *server)
{
	pthread_mutex_lock(&server->lock);
	struct config *config = config_ref(server->config);
	pthread_mutex_unlock(&server->lock);
	return config;
}

sd_event *
server_event(struct server *server)
{
	return server->event;
}

const char *
server_route(struct server *server, unsigned number)
{
	return request_service_route(server->service, number);
}

uint64_t
server_started(const struct server *server)
{
	return server->started;
}

const char *
server_state(const struct server *server)
{
	static const char *const names[] = {
		[SERVER_STARTING] = "starting",
		[SERVER_RUNNING] = "running",
		[SERVER_RELOADING] = "reloading",
		[SERVER_DRAINING] = "draining",
	};
	return names[atomic_load(&((struct server *) server)->phase)];
}
