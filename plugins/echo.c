/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* echo - sends back what it got. The tutorial: the smallest honest plugin, told in the order in which it runs.
 *
 * A plugin is one shared object with one exported descriptor; it includes one header and links nothing. Build it with
 *
 *   cc -shared -fPIC $(pkg-config --cflags mtlsd-plugin) -o echo.so echo.c
 *
 * and name it in the configuration:
 *
 *   plugins:
 *     - name: echo
 *       path: echo.so
 *       config:
 *         prefix: "you said: "
 *   routes:
 *     - name: echo
 *       prefix: /echo
 *       allow: [ {any: true} ]
 *       handler: echo
 */
#include <mtlsd/plugin.h>
#include <stdio.h>
#include <string.h>

/* Static data is fine: every instance is a loaded copy of its own, so a restart begins with fresh statics. What init
 * fills in and requests only read needs no lock. */
static const mtlsd_host *host;
static const char *prefix;
static int echoed; /* the number of our counter */

/* The settings this plugin takes. The daemon checks the configuration against this table before any of our code runs
 * (a misspelt key is refused with its line and the nearest valid name) and prints its help from it. */
static const mtlsd_option options[] = {
	{.name = "prefix",
	 .type = MTLSD_OPTION_STRING,
	 .max = 200,
	 .fallback = "",
	 .help = "Text sent before what came in."},
	{.name = NULL},
};

/* Called once, before any request. The host table and the settings stay valid until fini, so pointers into them may be
 * kept. To refuse to start, write one sentence to error and return a negative errno: the operator reads the sentence,
 * and an older instance keeps serving. */
static int
echo_init(const mtlsd_host *given, mtlsd_instance *self, const mtlsd_config *config, void **user, char *error,
	  size_t error_size)
{
	host = given;
	prefix = host->config_string(config, "prefix");
	echoed = host->counter(self, "echoed_bytes", "body bytes sent back");
	if (echoed < 0) {
		snprintf(error, error_size, "the counter echoed_bytes could not be registered");
		return echoed;
	}
	*user = self; /* handed to every later callback */
	return 0;
}

/* Called once a request, with the whole body there. The client behind it was verified inside the TLS handshake, and the
 * route allowed it. We may run on several threads at once (MTLSD_CONCURRENT below) and must not block. */
static mtlsd_action
echo_request(void *user, mtlsd_request *request)
{
	/* Memory that ends with the request comes from alloc: nothing to free, on no path, so nothing to leak. Only
	 * what must outlive the request belongs into malloc. At the plugin's memory limit both return NULL; answering
	 * MTLSD_FAIL (a counted 500) then costs this one request and nothing else. */
	size_t before = strlen(prefix), length;
	const void *body = host->body(request, &length);
	char *answer = host->alloc(request, before + length + 1);

	if (!answer)
		return MTLSD_FAIL;
	memcpy(answer, prefix, before);
	memcpy(answer + before, body, length);

	/* The answer is copied before respond returns. The daemon adds Content-Length, Date and the like. */
	if (host->add_header(request, "Content-Type", "application/octet-stream") < 0 ||
	    host->respond(request, 200, answer, before + length) < 0)
		return MTLSD_FAIL;
	host->count(user, echoed, length);
	return MTLSD_DONE;
}

/* The one exported symbol. MTLSD_CONCURRENT is a promise: our callbacks for different requests may overlap. Callbacks
 * that are missing here are simply not called; we keep nothing, so there is nothing to evict and nothing to end. */
MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("echo", "1.0", "sends back what it got"),
	.flags = MTLSD_CONCURRENT | MTLSD_OVERLAP,
	.options = options,
	.init = echo_init,
	.request = echo_request,
};
