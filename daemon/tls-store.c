/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tls-store.h"

#include "pool.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>

enum { SERIALS_MANY = 1000 };

struct tls_store {
	pthread_mutex_t lock;    /* guards all below */
	struct tls_set **living; /* borrowed: a set leaves the list when it is freed */
	size_t living_count, living_room;
	struct tls_sets current; /* references */
	/* Not guarded. Signing takes random numbers, for which GnuTLS keeps something of each thread for ever: threads
	 * of jobs come and go, this one stays. */
	struct pool *loader;
};

int
tls_store_new(struct tls_store **ret)
{
	struct tls_store *store = calloc(1, sizeof(*store));
	if (!store)
		return -ENOMEM;
	pthread_mutex_init(&store->lock, NULL);
	int r = pool_new("credentials", 1, 0, &store->loader);
	if (r < 0) {
		tls_store_free(&store);
		return r;
	}
	*ret = store;
	return 0;
}

void
tls_sets_clear(struct tls_sets *sets)
{
	for (size_t i = 0; i < sets->count; i++)
		tls_set_unref(&sets->sets[i]);
	free(sets->sets);
	*sets = (struct tls_sets){0};
}

void
tls_store_free(struct tls_store **store)
{
	struct tls_store *old = STEAL(*store);
	if (!old)
		return;
	pool_free(&old->loader);
	tls_sets_clear(&old->current);
	assert(old->living_count == 0);
	free(old->living);
	pthread_mutex_destroy(&old->lock);
	free(old);
}

/* --- living sets ------------------------------------------------------------------------------------------------- */

static void
set_released(struct tls_set *set, void *arg)
{
	struct tls_store *store = arg;
	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->living_count; i++)
		if (store->living[i] == set) {
			store->living[i] = store->living[--store->living_count];
			break;
		}
	pthread_mutex_unlock(&store->lock);
}

/* Lock held. What judges sets of this name already; a reference, or NULL. */
static struct tls_policy *
find_policy(const struct tls_store *store, const char *name)
{
	for (size_t i = 0; i < store->living_count; i++)
		if (strcmp(tls_set_name(store->living[i]), name) == 0)
			return tls_policy_ref(tls_set_policy(store->living[i]));
	return NULL;
}

/* Lock held. */
static int
living_grow(struct tls_store *store)
{
	if (store->living_count < store->living_room)
		return 0;
	size_t room = store->living_room ? store->living_room * 2 : 8;
	void *p = reallocarray(store->living, room, sizeof(struct tls_set *));
	if (!p)
		return -ENOMEM;
	store->living = p;
	store->living_room = room;
	return 0;
}

static int
set_adopt(struct tls_store *store, struct tls_set *set)
{
	CLEANUP(tls_policy_unref) struct tls_policy *policy = NULL;
	pthread_mutex_lock(&store->lock);
	policy = find_policy(store, tls_set_name(set));
	int r = policy ? 0 : tls_policy_new(tls_set_name(set), &policy);
	if (r == 0)
		r = living_grow(store);
	if (r == 0) {
		tls_set_bind(set, policy, set_released, store);
		store->living[store->living_count++] = set;
	}
	pthread_mutex_unlock(&store->lock);
	return r;
}

/* A reference, or NULL. */
static struct tls_set *
find_current(struct tls_store *store, const char *name)
{
	struct tls_set *found = NULL;
	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->current.count && !found; i++)
		if (strcmp(tls_set_name(store->current.sets[i]), name) == 0)
			found = tls_set_ref(store->current.sets[i]);
	pthread_mutex_unlock(&store->lock);
	return found;
}

/* --- loading ----------------------------------------------------------------------------------------------------- */

static bool
hash_node(gnutls_hash_hd_t hash, const struct yaml_node *node)
{
	const size_t head[] = {(size_t) node->kind, node->count, node->text ? strlen(node->text) : 0};
	bool sound =
		gnutls_hash(hash, head, sizeof(head)) == 0 && (!head[2] || gnutls_hash(hash, node->text, head[2]) == 0);
	for (size_t i = 0; i < node->count && sound; i++)
		sound = (!node->keys || hash_node(hash, node->keys[i])) && hash_node(hash, node->values[i]);
	return sound;
}

/* Routes say who may what: any change of them counts. */
static int
digest_rules(const struct config *config, unsigned char ret[TICKET_POLICY])
{
	const struct yaml_node *routes = config->tree ? yaml_get(config->tree, "routes") : NULL;
	gnutls_hash_hd_t hash;
	if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0)
		return -EIO;
	bool sound = !routes || hash_node(hash, routes);
	gnutls_hash_deinit(hash, ret);
	return sound ? 0 : -EIO;
}

static int
load_one(struct tls_store *store, const struct config_tls *config, struct tls_set **ret, struct error *error)
{
	CLEANUP(tls_set_unref) struct tls_set *before = find_current(store, config->name);
	CLEANUP(tls_set_unref) struct tls_set *set = NULL;
	int r = tls_set_load(config, before, &set, error);
	if (r == 0 && set != before && set_adopt(store, set) < 0)
		r = error_set(error, -ENOMEM, "out of memory");
	if (r == 0)
		*ret = STEAL(set);
	return r;
}

static int
sets_copy(const struct tls_sets *sets, struct tls_sets *ret)
{
	struct tls_sets copy = {.sets = calloc(sets->count + 1, sizeof(*sets->sets))};
	if (!copy.sets)
		return -ENOMEM;
	for (; copy.count < sets->count; copy.count++)
		copy.sets[copy.count] = tls_set_ref(sets->sets[copy.count]);
	memcpy(copy.rules, sets->rules, sizeof(copy.rules));
	*ret = copy;
	return 0;
}

/* GnuTLS parses a list into a tree of some 800 bytes an entry, of which we keep 21; the allocator would keep the rest.
 */
static void
give_back(const struct tls_sets *sets)
{
	size_t serials = 0;
	for (size_t i = 0; i < sets->count; i++) {
		struct trust_counts counts;
		trust_count(tls_set_trust(sets->sets[i]), &counts);
		serials += counts.lists.serials;
	}
	if (serials > SERIALS_MANY)
		(void) malloc_trim(0);
}

static int
load_all(struct tls_store *store, const struct config *config, struct tls_sets *ret, struct tls_sets *ret_before,
	 struct error *error)
{
	CLEANUP(tls_sets_clear) struct tls_sets sets = {0};
	sets.sets = calloc(config->tls_count + 1, sizeof(*sets.sets));
	if (!sets.sets || digest_rules(config, sets.rules) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	for (; sets.count < config->tls_count; sets.count++) {
		int r = load_one(store, &config->tls[sets.count], &sets.sets[sets.count], error);
		if (r < 0)
			return r;
	}
	pthread_mutex_lock(&store->lock);
	int r = ret_before ? sets_copy(&store->current, ret_before) : 0;
	pthread_mutex_unlock(&store->lock);
	if (r < 0)
		return error_set(error, r, "out of memory");
	give_back(&sets);
	*ret = sets;
	sets = (struct tls_sets){0};
	return 0;
}

/* A call of load_all on the loader's thread; lives on the caller's stack. */
struct loading {
	struct pool_job job;
	struct tls_store *store;
	const struct config *config;
	struct tls_sets *ret, *ret_before;
	struct error *error;
	int result;
	pthread_mutex_t lock; /* guards over */
	pthread_cond_t changed;
	bool over;
};

static void
loading_work(struct pool_job *job)
{
	struct loading *loading = CONTAINER_OF(job, struct loading, job);
	loading->result = load_all(loading->store, loading->config, loading->ret, loading->ret_before, loading->error);
	pthread_mutex_lock(&loading->lock);
	loading->over = true;
	pthread_cond_signal(&loading->changed);
	pthread_mutex_unlock(&loading->lock); /* it may be gone now */
}

int
tls_store_load(struct tls_store *store, const struct config *config, struct tls_sets *ret, struct tls_sets *ret_before,
	       struct error *error)
{
	struct loading loading = {.job.work = loading_work,
				  .store = store,
				  .config = config,
				  .ret = ret,
				  .ret_before = ret_before,
				  .error = error,
				  .lock = PTHREAD_MUTEX_INITIALIZER,
				  .changed = PTHREAD_COND_INITIALIZER};
	pool_push(store->loader, &loading.job);
	pthread_mutex_lock(&loading.lock);
	while (!loading.over)
		pthread_cond_wait(&loading.changed, &loading.lock);
	pthread_mutex_unlock(&loading.lock);
	pthread_cond_destroy(&loading.changed);
	pthread_mutex_destroy(&loading.lock);
	return loading.result;
}

/* Policies of names that no set in force has any more. */
static void
retire(const struct tls_sets *before, const struct tls_sets *now)
{
	for (size_t i = 0; i < before->count; i++) {
		bool named = false;
		for (size_t j = 0; j < now->count && !named; j++)
			named = strcmp(tls_set_name(before->sets[i]), tls_set_name(now->sets[j])) == 0;
		if (!named)
			tls_policy_retire(tls_set_policy(before->sets[i]));
	}
}

int
tls_store_enforce(struct tls_store *store, const struct tls_sets *sets, time_t now)
{
	CLEANUP(tls_sets_clear) struct tls_sets before = {0};
	struct tls_sets fresh;
	int changed = 0;
	if (sets_copy(sets, &fresh) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < fresh.count; i++)
		changed += tls_set_enforce(fresh.sets[i], fresh.rules, now);
	pthread_mutex_lock(&store->lock);
	before = store->current;
	store->current = fresh;
	pthread_mutex_unlock(&store->lock);
	retire(&before, sets);
	return changed;
}

static bool
is_current(const struct tls_store *store, const struct tls_set *set)
{
	for (size_t i = 0; i < store->current.count; i++)
		if (store->current.sets[i] == set)
			return true;
	return false;
}

void
tls_store_turn(struct tls_store *store, time_t now)
{
	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->current.count; i++)
		(void) tls_policy_turn(tls_set_policy(store->current.sets[i]), now);
	for (size_t i = 0; i < store->living_count; i++)
		if (!is_current(store, store->living[i]))
			tls_set_forget_trust(store->living[i]);
	pthread_mutex_unlock(&store->lock);
}

/* --- looking ----------------------------------------------------------------------------------------------------- */

void
tls_store_visit(struct tls_store *store, void (*visit)(const struct tls_store_view *view, void *arg), void *arg)
{
	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->current.count; i++)
		visit(&(struct tls_store_view){store->current.sets[i], true}, arg);
	for (size_t i = 0; i < store->living_count; i++)
		if (!is_current(store, store->living[i]))
			visit(&(struct tls_store_view){store->living[i], false}, arg);
	pthread_mutex_unlock(&store->lock);
}

struct expiry_visit {
	time_t now;
	void (*visit)(const struct tls_expiry *expiry, void *arg);
	void *arg;
};

static void
expiry_tell(const struct expiry_visit *visit, const struct tls_set *set, const char *what, const char *name,
	    time_t until, time_t before)
{
	const struct tls_expiry expiry = {tls_set_name(set), what, name, until, until <= visit->now};
	if (until - visit->now <= before)
		visit->visit(&expiry, visit->arg);
}

/* Lists and stapled answers are renewed every few days as a matter of course: they are told when they are over. */
static void
expiry_look(const struct expiry_visit *visit, struct tls_set *set)
{
	const struct credential *credential = tls_set_credential(set);
	time_t before = tls_set_warn_before(set);
	struct trust_counts counts;
	for (size_t i = 0; i < credential_count(credential); i++) {
		struct credential_view view;
		credential_view(credential, i, &view);
		expiry_tell(visit, set, "certificate", view.subject, view.expires, before);
		if (view.staple_until)
			expiry_tell(visit, set, "ocsp", view.subject, view.staple_until, 0);
	}
	trust_count(tls_set_trust(set), &counts);
	expiry_tell(visit, set, "client_ca", "", counts.authorities_expire, before);
	if (counts.lists_due)
		expiry_tell(visit, set, "client_crl", "", counts.lists_due, 0);
}

void
tls_store_expiring(struct tls_store *store, time_t now, void (*visit)(const struct tls_expiry *expiry, void *arg),
		   void *arg)
{
	const struct expiry_visit look = {now, visit, arg};
	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->current.count; i++)
		expiry_look(&look, store->current.sets[i]);
	pthread_mutex_unlock(&store->lock);
}
