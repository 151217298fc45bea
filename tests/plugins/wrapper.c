/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* wrapper - allocates by a wrapper of malloc, called from two functions: /…/header keeps 3 blocks, all else 1.
 *
 * Whoever looks at call sites alone sees xmalloc and nothing else.
 */
#include "fixture.h"

#include <stdlib.h>

enum { WRAPPER_BYTES = 112 };

static const mtlsd_host *host;
static void *volatile last;

__attribute__((noinline)) static void *
xmalloc(size_t size)
{
	void *p = malloc(size);

	if (!p)
		return NULL;
	memset(p, 0x57, size);
	last = p;
	return p;
}

__attribute__((noinline)) static int
parse_header(void)
{
	for (int i = 0; i < 3; i++) {
		if (!xmalloc(WRAPPER_BYTES))
			return -1;
	}
	return 0;
}

__attribute__((noinline)) static int
parse_body(void)
{
	void *p = xmalloc(WRAPPER_BYTES);

	last = p;
	return p ? 0 : -1;
}

static int
wrapper_init(const mtlsd_host *given, mtlsd_instance *instance FIXTURE_UNUSED,
	     const mtlsd_config *config FIXTURE_UNUSED, void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED,
	     size_t error_size FIXTURE_UNUSED)
{
	host = given;
	return 0;
}

static mtlsd_action
wrapper_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	int r = fixture_ends_with(host->path(request), "/header") ? parse_header() : parse_body();

	return fixture_answer(host, request, r < 0 ? 507 : 200, r < 0 ? "no memory\n" : "ok\n");
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("wrapper", "1.0", "allocates by a wrapper"),
	.flags = MTLSD_CONCURRENT | MTLSD_OVERLAP,
	.init = wrapper_init,
	.request = wrapper_request,
};
