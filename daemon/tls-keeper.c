/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tls-keeper.h"

#include "event.h"
#include "tls-watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	QUIET = 200000,
	EXPIRED_LOOK = 10,    /* seconds between looks for connections whose certificate has ended */
	EXPIRING_TELL = 86400 /* and between warnings of what ends soon */
};

struct tls_keeper {
	struct endpoint *endpoint; /* borrowed */
	struct errands *errands;   /* borrowed */
	struct tls_watch *watch;
	struct job_queue *jobs; /* borrowed */
	int (*reload)(void *arg, bool rehearse, struct tls_keeper_report *ret, struct error *error);
	void *arg;
	bool reloading, again; /* again: files changed, and no reload that sees it has begun */
	char refused[500];     /* why the files as they are were refused; "": they were not. Not told twice */
	time_t looked, told;
	atomic_bool renewed; /* sets came into force: what they say is to be told */
};

/* --- changed files ----------------------------------------------------------------------------------------------- */

struct reload {
	struct tls_keeper *keeper;
	struct tls_keeper_report report;
	struct error error;
	int result;
};

static void
reload_work(void *arg)
{
	struct reload *reload = arg;
	reload->result = reload->keeper->reload(reload->keeper->arg, false, &reload->report, &reload->error);
}

static void files_changed(void *arg);

static void
reload_done(void *arg)
{
	struct reload *reload = arg;
	struct tls_keeper *keeper = reload->keeper;
	keeper->reloading = false;
	if (reload->result < 0 && strcmp(keeper->refused, reload->error.text) != 0) {
		event_log(EVENT_CREDENTIALS_REFUSED, NULL,
			  "changed certificate files are refused, the old ones stay in use: %s", reload->error.text);
		(void) snprintf(keeper->refused, sizeof(keeper->refused), "%s", reload->error.text);
	} else if (reload->result == 0) {
		keeper->refused[0] = '\0';
		if (reload->report.replaced)
			event_log(EVENT_CREDENTIALS_CHANGED, NULL,
				  "changed certificate files are in use: %zu of %zu sets", reload->report.replaced,
				  reload->report.sets);
	}
	free(reload);
	if (keeper->again)
		files_changed(keeper);
}

static void
files_changed(void *arg)
{
	struct tls_keeper *keeper = arg;
	bool told = keeper->again;
	keeper->again = true; /* until it has begun */
	if (keeper->reloading)
		return;
	struct reload *reload = calloc(1, sizeof(*reload));
	if (!reload)
		return;
	reload->keeper = keeper;
	int r = job_start(keeper->jobs, "reload tls", reload_work, reload_done, reload, NULL);
	if (r < 0) {
		free(reload);
		if (!told)
			event_log(EVENT_CREDENTIALS_UNWATCHED, NULL,
				  "changed certificate files cannot be read now, but soon: %s", strerror(-r));
		return;
	}
	keeper->reloading = true;
	keeper->again = false;
}

int
tls_keeper_new(sd_event *event, struct endpoint *endpoint, struct errands *errands, struct job_queue *jobs,
	       int (*reload)(void *arg, bool rehearse, struct tls_keeper_report *ret, struct error *error), void *arg,
	       struct tls_keeper **ret, struct error *error)
{
	CLEANUP(tls_keeper_free) struct tls_keeper *keeper = calloc(1, sizeof(*keeper));
	if (!keeper)
		return error_set(error, -ENOMEM, "out of memory");
	keeper->endpoint = endpoint;
	keeper->errands = errands;
	keeper->jobs = jobs;
	keeper->reload = reload;
	keeper->arg = arg;
	atomic_init(&keeper->renewed, true);
	int r = tls_watch_new(event, QUIET, files_changed, keeper, &keeper->watch);
	if (r < 0)
		return error_set(error, r, "files cannot be watched: %s", strerror(-r));
	*ret = STEAL(keeper);
	return 0;
}

void
tls_keeper_free(struct tls_keeper **keeper)
{
	if (!*keeper)
		return;
	tls_watch_free(&(*keeper)->watch);
	free(*keeper);
	*keeper = NULL;
}

/* --- watching ---------------------------------------------------------------------------------------------------- */

struct paths {
	char **items;
	size_t count;
};

static void
paths_clear(struct paths *paths)
{
	while (paths->count)
		free(paths->items[--paths->count]);
	free(paths->items);
}

static int
paths_add(struct paths *paths, const char *name)
{
	char *path = NULL;
	if (!name || secret_is_token(name))
		return 0;
	char **items = reallocarray(paths->items, paths->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	paths->items = items;
	int r = secret_path(name, &path, NULL);
	if (r == 0)
		items[paths->count++] = path;
	return r;
}

static int
paths_of(const struct config_tls *tls, struct paths *paths)
{
	int r = paths_add(paths, tls->client_ca);
	if (r == 0 && tls->crl != CONFIG_CRL_OFF)
		r = paths_add(paths, tls->client_crl);
	if (r == 0)
		r = paths_add(paths, tls->ticket_key);
	for (size_t i = 0; r == 0 && i < tls->certificate_count; i++) {
		r = paths_add(paths, tls->certificates[i].certificate);
		if (r == 0)
			r = paths_add(paths, tls->certificates[i].key);
		if (r == 0)
			r = paths_add(paths, tls->certificates[i].ocsp);
	}
	return r;
}

void
tls_keeper_watch(struct tls_keeper *keeper, const struct config *config)
{
	CLEANUP(paths_clear) struct paths paths = {0};
	int r = 0;
	atomic_store(&keeper->renewed, true);
	for (size_t i = 0; i < config->tls_count && r == 0; i++)
		r = paths_of(&config->tls[i], &paths);
	if (r == 0)
		r = tls_watch_set(keeper->watch, (const char *const *) paths.items, paths.count);
	if (r < 0)
		event_log(EVENT_CREDENTIALS_UNWATCHED, NULL,
			  "changes of some certificate files are not seen (%s); mtlsctl reload tls takes them",
			  strerror(-r));
}

/* --- reloading --------------------------------------------------------------------------------------------------- */

struct adoption {
	struct tls_keeper *keeper;
	const struct config *config;
	const struct tls_sets *sets;
};

static int
adopt(void *arg, struct error *error)
{
	const struct adoption *adoption = arg;
	return endpoint_reload(adoption->keeper->endpoint, adoption->config, adoption->sets, error);
}

static size_t
count_replaced(const struct tls_sets *before, const struct tls_sets *sets)
{
	size_t replaced = 0;
	for (size_t i = 0; i < sets->count; i++)
		replaced += i >= before->count || before->sets[i] != sets->sets[i];
	return replaced;
}

int
tls_keeper_reload(struct tls_keeper *keeper, struct config *config, bool rehearse, struct tls_keeper_report *ret,
		  struct error *error)
{
	CLEANUP(tls_sets_clear) struct tls_sets before = {0}, sets = {0};
	struct tls_store *store = endpoint_tls(keeper->endpoint);
	struct tls_keeper_report report = {0};
	int r = tls_store_load(store, config, &sets, &before, error);
	if (r < 0)
		return r;
	report.sets = sets.count;
	report.replaced = count_replaced(&before, &sets);
	if (report.replaced && !rehearse) {
		struct adoption adoption = {keeper, config, &sets};
		report.policies = errand_run(keeper->errands, adopt, &adoption, error);
		if (report.policies < 0)
			return report.policies;
		atomic_store(&keeper->renewed, true);
		if (report.policies > 0)
			tls_keeper_look(keeper, config, &report.look);
	}
	*ret = report;
	return 0;
}

void
tls_keeper_look(struct tls_keeper *keeper, const struct config *config, struct endpoint_look *ret)
{
	char reasons[300] = "", number[24];
	size_t used = 0;
	uint64_t closed = 0;
	endpoint_look_again(keeper->endpoint, config, 0, ret);
	for (unsigned i = 0; i < TLS_REFUSAL_COUNT; i++) {
		closed += ret->closed[i];
		if (ret->closed[i] && used < sizeof(reasons))
			used += (size_t) snprintf(reasons + used, sizeof(reasons) - used, "%s%s %" PRIu64,
						  used ? ", " : ": ", tls_refusal_name(i), ret->closed[i]);
	}
	snprintf(number, sizeof(number), "%" PRIu64, closed);
	event_log(EVENT_POLICY_CHANGED, LOG_FIELDS({"MTLSD_CLOSED", number}),
		  "policy changed: earlier tickets are void; %" PRIu64 " open connections looked at, %" PRIu64
		  " closed%s",
		  ret->seen, closed, reasons);
}

/* --- time -------------------------------------------------------------------------------------------------------- */

static void
on_expiring(const struct tls_expiry *expiry, void *arg)
{
	const time_t *now = arg;
	char days[32];
	snprintf(days, sizeof(days), "%lld", (long long) (expiry->until - *now) / 86400);
	event_log(expiry->over ? EVENT_EXPIRED : EVENT_EXPIRES,
		  LOG_FIELDS({"MTLSD_TLS", expiry->set}, {"MTLSD_DAYS", days}), "tls %s: %s%s%s %s %s%s", expiry->set,
		  expiry->what, expiry->name[0] ? " " : "", expiry->name, expiry->over ? "has expired" : "expires in",
		  expiry->over ? "" : days, expiry->over ? "" : " days");
}

static void
tell_expiring(struct tls_keeper *keeper, time_t now)
{
	bool renewed = atomic_exchange(&keeper->renewed, false);
	if (!renewed && now - keeper->told < EXPIRING_TELL && now >= keeper->told)
		return;
	keeper->told = now;
	tls_store_expiring(endpoint_tls(keeper->endpoint), now, on_expiring, &now);
}

void
tls_keeper_tick(struct tls_keeper *keeper, const struct config *config)
{
	time_t now = time(NULL);
	struct endpoint_look look;
	tls_store_turn(endpoint_tls(keeper->endpoint), now);
	tell_expiring(keeper, now);
	if (keeper->again && !keeper->reloading)
		files_changed(keeper);
	if (now - keeper->looked < EXPIRED_LOOK && now >= keeper->looked)
		return;
	keeper->looked = now;
	endpoint_look_again(keeper->endpoint, config, now, &look);
}
