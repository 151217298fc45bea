/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* once - takes each message once: headers Nonce and Signed-At (Unix seconds; "now" for the daemon's own clock). Answers
 * with a status for each result of mtlsd_host.nonce, and the window. A signature would be verified first; a fixture has
 * none. */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

static const mtlsd_host *host;
static mtlsd_instance *instance;

static int
once_init(const mtlsd_host *given, mtlsd_instance *self, const mtlsd_config *config FIXTURE_UNUSED,
	  void **user FIXTURE_UNUSED, char *error, size_t error_size)
{
	host = given;
	instance = self;
	if (MTLSD_HAS(given, nonce) && given->nonce_window(self) > 0)
		return 0;
	snprintf(error, error_size, "no nonces are kept for this plugin; set nonces.window");
	return -EINVAL;
}

static mtlsd_action
once_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	static const struct {
		int result, status;
	} answers[] = {{0, 200}, {-EEXIST, 409}, {-ETIME, 401}, {-ENOSPC, 503}, {-EIO, 507}, {-EINVAL, 400}};
	const char *nonce = host->header(request, "Nonce", 0), *at = host->header(request, "Signed-At", 0);
	char text[80];
	int status = 500;

	int64_t signed_at = at && strcmp(at, "now") != 0 ? strtoll(at, NULL, 10) : (int64_t) time(NULL);
	int result = host->nonce(instance, nonce, nonce ? strlen(nonce) : 0, signed_at);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (answers[i].result == result)
			status = answers[i].status;
	snprintf(text, sizeof(text), "%d %lld\n", result, (long long) host->nonce_window(instance));
	return fixture_answer(host, request, status, text);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("once", "1.0", "takes each message once"),
	.flags = MTLSD_CONCURRENT,
	.init = once_init,
	.request = once_request,
};
