/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doublefree - frees wrongly on demand: /double twice, /interior not at the start of a block, /at/NUMBER whatever is
 * there. All must be noticed, blamed on this plugin and do no harm. /keep/WHAT tells where something is: a block
 * (kept), static data, the stack.
 */
#include "fixture.h"

#include <inttypes.h>
#include <stdlib.h>

static const mtlsd_host *host;

static int
doublefree_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config FIXTURE_UNUSED,
		void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	return 0;
}

/* The pointers take a turn through integers: the compiler would see, and refuse, what we want to happen at run time. */
__attribute__((noinline)) static void
free_at(uintptr_t address)
{
	free((void *) address);
}

static mtlsd_action
doublefree_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	const char *path = host->path(request), *at = strstr(path, "/at/");
	char text[32];
	volatile uintptr_t address = (uintptr_t) malloc(256);

	if (!address)
		return MTLSD_FAIL;
	if (strstr(path, "/keep/")) {
		if (fixture_ends_with(path, "/static"))
			address = (uintptr_t) &host;
		if (fixture_ends_with(path, "/stack"))
			address = (uintptr_t) text;
		snprintf(text, sizeof(text), "%ju\n", (uintmax_t) address);
		return fixture_answer(host, request, 200, text);
	}
	if (at)
		free_at((uintptr_t) strtoumax(at + strlen("/at/"), NULL, 10));
	if (fixture_ends_with(path, "/interior"))
		free_at(address + 16);
	free_at(address);
	if (fixture_ends_with(path, "/double"))
		free_at(address);
	return fixture_answer(host, request, 200, "freed\n");
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("doublefree", "1.0", "frees wrongly on demand"),
	.flags = MTLSD_CONCURRENT,
	.init = doublefree_init,
	.request = doublefree_request,
};
