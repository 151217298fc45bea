/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* never - counts every callback it ever gets. A client that was refused must not cost it a single one. */
#include "fixture.h"

static const mtlsd_host *host;
static mtlsd_instance *self;
static int calls_request, calls_cancel, calls_done, calls_release, calls_evict, calls_dump;

static int
never_init(const mtlsd_host *given, mtlsd_instance *instance, const mtlsd_config *config FIXTURE_UNUSED,
	   void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	self = instance;
	calls_request = host->counter(self, "calls_request", "calls of request");
	calls_cancel = host->counter(self, "calls_cancel", "calls of cancel");
	calls_done = host->counter(self, "calls_done", "calls of done");
	calls_release = host->counter(self, "calls_release", "calls of the release hook");
	calls_evict = host->counter(self, "calls_evict", "calls of evict");
	calls_dump = host->counter(self, "calls_dump", "calls of dump");
	return 0;
}

static void
never_release(void *data FIXTURE_UNUSED)
{
	host->count(self, calls_release, 1);
}

static mtlsd_action
never_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	host->count(self, calls_request, 1);
	if (host->set_data(request, &calls_release, never_release) < 0)
		return MTLSD_FAIL;
	return fixture_answer(host, request, 200, "never\n");
}

static void
never_cancel(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED, mtlsd_reason reason FIXTURE_UNUSED)
{
	host->count(self, calls_cancel, 1);
}

static void
never_done(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED, mtlsd_outcome outcome FIXTURE_UNUSED)
{
	host->count(self, calls_done, 1);
}

static uint64_t
never_evict(void *user FIXTURE_UNUSED, uint64_t target FIXTURE_UNUSED, mtlsd_level level FIXTURE_UNUSED)
{
	host->count(self, calls_evict, 1);
	return 0;
}

static void
never_dump(void *user FIXTURE_UNUSED, mtlsd_dump *dump FIXTURE_UNUSED)
{
	host->count(self, calls_dump, 1);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("never", "1.0", "counts every callback"),
	.flags = MTLSD_CONCURRENT | MTLSD_OVERLAP,
	.init = never_init,
	.request = never_request,
	.cancel = never_cancel,
	.done = never_done,
	.evict = never_evict,
	.dump = never_dump,
};
