/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A new configuration taken up while the daemon serves: all of it or nothing. */
#include "event.h"
#include "monotonic.h"
#include "server-internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

enum { SWEEP_LOOK = 5000 };

void
server_log_mistakes(const char *mistakes)
{
	while (mistakes != NULL && *mistakes != '\0') {
		int length = (int) strcspn(mistakes, "\n");
		event_log(EVENT_MISTAKE, NULL, "%.*s", length, mistakes);
		mistakes += length + (mistakes[length] == '\n');
	}
}

struct commit {
	struct server *server;
	struct config *config;
	struct tls_sets *sets, *before;
	int policies; /* that changed */
};

/* On the main thread: the parts that belong to it take the new configuration, all or none. */
static int
adopt(void *arg, struct error *error)
{
	struct commit *commit = arg;
	struct server *server = commit->server;
	struct config *config = commit->config;

	if (config->daemon.threads != server->config->daemon.threads)
		return error_set(error, -EINVAL, "daemon.threads cannot change while the daemon runs; restart it");
	if (strcmp(config->daemon.run_directory, server->config->daemon.run_directory) != 0)
		return error_set(error, -EINVAL,
				 "daemon.run_directory cannot change while the daemon runs; restart it");
	int r = endpoint_reload(server->endpoint, config, commit->sets, error);
	if (r < 0)
		return r;
	commit->policies = r;
	r = control_reload(server->control, &config->control, error);
	if (r == 0)
		r = accesslog_apply(server->accesslog, &config->daemon.access_log, error);
	if (r == 0)
		r = request_service_apply(server->service, config);
	if (r < 0) {
		struct config *before = server_config(server);
		(void) endpoint_reload(server->endpoint, before, commit->before, NULL);
		(void) control_reload(server->control, &before->control, NULL);
		config_unref(&before);
		return error_set(error, r, "cannot apply the configuration: %s", strerror(-r));
	}
	log_set_level(config->daemon.log_level);
	pthread_mutex_lock(&server->lock);
	struct config *before = server->config;
	server->config = config_ref(config);
	pthread_mutex_unlock(&server->lock);
	config_unref(&before);
	tls_keeper_watch(server->keeper, config);
	return 0;
}

/* New instances serve already; publish, then let requests of the old snapshot end before plugins it used may go. */
static int
commit_reload(void *ctx, struct error *error)
{
	struct commit *commit = ctx;
	struct tls_store *store = endpoint_tls(commit->server->endpoint);
	struct endpoint_look look;
	const struct timespec pause = {.tv_nsec = SWEEP_LOOK * 1000};

	int r = tls_store_load(store, commit->config, commit->sets, commit->before, error);
	if (r == 0)
		r = errand_run(commit->server->errands, adopt, ctx, error);
	if (r < 0)
		return r;
	if (commit->policies > 0)
		tls_keeper_look(commit->server->keeper, commit->config, &look);
	for (uint64_t waited = 0; waited < commit->config->daemon.drain_timeout; waited += SWEEP_LOOK) {
		if (request_service_settle(commit->server->service) == 0)
			break;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int
reload(struct server *server, char **ret_mistakes, struct error *error)
{
	CLEANUP(config_unref) struct config *config = NULL;
	CLEANUP_FREE char *mistakes = NULL;

	int r = config_load(server->config_path, &config, &mistakes);
	if (r < 0) {
		int length = mistakes != NULL ? (int) strcspn(mistakes, "\n") : 0;
		error_set(error, r, "%.*s", length > 0 ? length : 40, length > 0 ? mistakes : strerror(-r));
		*ret_mistakes = STEAL(mistakes);
		return r;
	}
	r = wall_covers(server->wall, config, error);
	if (r < 0)
		return r;
	config->generation = server->generation + 1;
	CLEANUP(tls_sets_clear) struct tls_sets sets = {0}, before = {0};
	struct commit commit = {server, config, &sets, &before, 0};
	r = supervisor_apply(server->supervisor, config, commit_reload, &commit, error);
	if (r == 0)
		server->generation++;
	return r;
}

/* Whoever asked for it: alerts rest on these records. */
static void
tell(struct server *server, int result, const struct error *why, const char *mistakes)
{
	char number[24];

	if (result < 0) {
		event_log(EVENT_CONFIGURATION_REFUSED, NULL, "reload refused, the old configuration stays: %s",
			  why->text); /* the first mistake */
		const char *first_end = mistakes != NULL ? strchr(mistakes, '\n') : NULL;
		server_log_mistakes(first_end != NULL ? first_end + 1 : NULL);
		return;
	}
	snprintf(number, sizeof(number), "%" PRIu64, server->generation);
	event_log(EVENT_CONFIGURED, LOG_FIELDS({"MTLSD_CONFIGURATION", number}), "configuration %s is in force",
		  number);
}

int
server_reload(struct server *server, char **ret_mistakes, struct error *error)
{
	CLEANUP_FREE char *mistakes = NULL;
	struct error why = {0};

	pthread_mutex_lock(&server->reload);
	enum server_phase running = SERVER_RUNNING;
	if (!atomic_compare_exchange_strong(&server->phase, &running, SERVER_RELOADING)) {
		pthread_mutex_unlock(&server->reload);
		return error_set(error, -ESHUTDOWN, "the daemon is ending");
	}
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, monotonic_now());
	int r = reload(server, &mistakes, &why);
	enum server_phase reloading = SERVER_RELOADING;
	(void) atomic_compare_exchange_strong(&server->phase, &reloading, SERVER_RUNNING);
	tell(server, r, &why, mistakes); /* first, so that whoever waits for READY finds it told */
	server_notify(server, "READY=1");
	if (r < 0)
		sd_notifyf(0, "STATUS=reload refused: %s", why.text);
	pthread_mutex_unlock(&server->reload);
	if (ret_mistakes != NULL)
		*ret_mistakes = STEAL(mistakes);
	return r < 0 ? error_set(error, r, "%s", why.text) : 0;
}

int
server_reload_tls(void *arg, bool rehearse, struct tls_keeper_report *ret, struct error *error)
{
	struct server *server = arg;
	CLEANUP(config_unref) struct config *config = NULL;
	int r = -ESHUTDOWN;

	pthread_mutex_lock(&server->reload);
	config = server_config(server);
	if (atomic_load(&server->phase) == SERVER_DRAINING)
		(void) error_set(error, r, "the daemon is ending");
	else
		r = tls_keeper_reload(server->keeper, config, rehearse, ret, error);
	pthread_mutex_unlock(&server->reload);
	return r;
}

/* --- SIGHUP ------------------------------------------------------------------------------------------------------- */

static void
hangup_work(void *arg)
{
	(void) server_reload(arg, NULL, NULL); /* which tells what came of it */
}

int
server_on_hangup(sd_event_source *source UNUSED, const struct signalfd_siginfo *info UNUSED, void *userdata)
{
	struct server *server = userdata;
	int r = job_start(server->jobs, "reload", hangup_work, NULL, server, NULL);

	if (r < 0)
		event_log(EVENT_CONFIGURATION_REFUSED, NULL, "reload refused: %s", strerror(-r));
	return 0;
}
