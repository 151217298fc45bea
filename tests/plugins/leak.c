/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* leak - keeps memory nobody will ever ask for: on every request, on the error path only, or never.
 *
 * Two named functions do the leaking, so that a dump can be asserted by function, file and line. A path that ends in
 * /error is answered 500. At the hard limit the answer is 507 and nothing is kept.
 */
#include "fixture.h"

#include <stdlib.h>

enum when { ALWAYS, ERROR, NEVER };

static const mtlsd_host *host;
static mtlsd_instance *self;
static size_t bytes, other;
static enum when when;
static int leaks, refusals;

/* What was leaked last: a store the compiler must keep, so that it keeps the allocation too. */
static _Atomic(void *) last; /* requests overlap */

static const mtlsd_option options[] = {
	{.name = "bytes", .type = MTLSD_OPTION_SIZE, .min = 1, .max = 1 << 30, .fallback = "16",
	 .help = "Bytes kept by leak_keep at each leak."},
	{.name = "other", .type = MTLSD_OPTION_SIZE, .max = 1 << 30, .fallback = "0",
	 .help = "Bytes kept by leak_other beside them; 0: that site stays silent."},
	{.name = "when", .type = MTLSD_OPTION_CHOICE, .choices = "always|error|never", .fallback = "always",
	 .help = "On every request, on the error path only, or never."},
	{.name = NULL},
};

__attribute__((noinline)) static int
leak_keep(size_t size)
{
	void *kept = malloc(size);

	if (!kept)
		return -1;
	memset(kept, 0x4c, size);
	last = kept;
	return 0;
}

__attribute__((noinline)) static int
leak_other(size_t size)
{
	void *kept = calloc(1, size);

	if (!kept)
		return -1;
	last = kept;
	return 0;
}

static int
leak_init(const mtlsd_host *given, mtlsd_instance *instance, const mtlsd_config *config, void **user FIXTURE_UNUSED,
	  char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	const char *word;

	host = given;
	self = instance;
	bytes = (size_t) host->config_int(config, "bytes");
	other = (size_t) host->config_int(config, "other");
	word = host->config_string(config, "when");
	when = strcmp(word, "always") == 0 ? ALWAYS : strcmp(word, "error") == 0 ? ERROR : NEVER;
	leaks = host->counter(self, "leaks", "times memory was leaked");
	refusals = host->counter(self, "refusals", "times malloc said no");
	return leaks < 0 ? leaks : refusals < 0 ? refusals : 0;
}

static mtlsd_action
leak_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	int error = fixture_ends_with(host->path(request), "/error");

	if (when == ALWAYS || (when == ERROR && error)) {
		if (leak_keep(bytes) < 0 || (other && leak_other(other) < 0)) {
			host->count(self, refusals, 1);
			return fixture_answer(host, request, 507, "no memory\n");
		}
		host->count(self, leaks, 1);
	}
	return error ? fixture_answer(host, request, 500, "error\n") : fixture_answer(host, request, 200, "ok\n");
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("leak", "1.0", "keeps memory for ever"),
	.flags = MTLSD_CONCURRENT | MTLSD_OVERLAP,
	.options = options,
	.init = leak_init,
	.request = leak_request,
};
