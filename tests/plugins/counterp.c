/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* counterp - answers how many requests this instance has had, from plain static data; counts and logs on the way.
 *
 * Not MTLSD_CONCURRENT: it watches that no two of its callbacks overlap and counts it if they do. A path that ends in
 * /log logs the query; one in /flood logs a thousand lines.
 */
#include "fixture.h"

static const mtlsd_host *host;
static mtlsd_instance *self;
static unsigned long long number; /* fresh in every instance */
static int inside;
static int requests, overlaps;

static void
watch_enter(void)
{
	if (__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) != 1)
		host->count(self, overlaps, 1);
}

static void
watch_leave(void)
{
	__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
}

static int
counterp_init(const mtlsd_host *given, mtlsd_instance *instance, const mtlsd_config *config FIXTURE_UNUSED,
	      void **user FIXTURE_UNUSED, char *error, size_t error_size)
{
	host = given;
	self = instance;
	requests = host->counter(self, "requests_seen", "requests this instance has had");
	overlaps = host->counter(self, "overlaps", "callbacks that ran at the same time");
	if (requests < 0 || overlaps < 0 || host->counter(self, "bad name", "must be refused") >= 0) {
		snprintf(error, error_size, "counters are not as the header says");
		return -1;
	}
	host->log(self, MTLSD_LOG_INFO, "instance %llu begins", (unsigned long long) host->instance_number(self));
	return 0;
}

static mtlsd_action
counterp_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	const char *path = host->path(request), *query = host->query(request);
	mtlsd_action action;
	char text[32];
	int i;

	watch_enter();
	host->count(self, requests, 1);
	if (fixture_ends_with(path, "/log"))
		host->log(self, MTLSD_LOG_NOTICE, "told: %s", query ? query : "nothing");
	if (fixture_ends_with(path, "/flood"))
		for (i = 0; i < 1000; i++)
			host->log(self, MTLSD_LOG_NOTICE, "flood line %d", i);
	snprintf(text, sizeof(text), "%llu\n", ++number);
	action = fixture_answer(host, request, 200, text);
	watch_leave();
	return action;
}

static void
counterp_done(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED, mtlsd_outcome outcome FIXTURE_UNUSED)
{
	watch_enter();
	watch_leave();
}

static uint64_t
counterp_evict(void *user FIXTURE_UNUSED, uint64_t target FIXTURE_UNUSED, mtlsd_level level FIXTURE_UNUSED)
{
	watch_enter();
	watch_leave();
	return 0;
}

static void
counterp_dump(void *user FIXTURE_UNUSED, mtlsd_dump *dump)
{
	watch_enter();
	host->dump_number(dump, "number", number);
	watch_leave();
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("counterp", "1.0", "counts its requests in static data"),
	.init = counterp_init,
	.request = counterp_request,
	.done = counterp_done,
	.evict = counterp_evict,
	.dump = counterp_dump,
};
