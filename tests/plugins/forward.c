/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* forward - answers with what a proxy would pass on: the client's fields of RFC 9440 as it got them ("got NAME:
 * VALUE"), those the daemon vouches for ("Client-Cert: …"), its key purposes and the channel binding in hex. */
#include "fixture.h"

#include <strings.h>

static const mtlsd_host *host;

static int
forward_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config FIXTURE_UNUSED,
	     void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	return MTLSD_HAS(given, channel_binding) ? 0 : -1;
}

static mtlsd_action
forward_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	char text[16384], small[1];
	unsigned char binding[32];
	const char *name, *value;
	size_t used = 0;

	for (size_t i = 0; host->header_at(request, i, &name, &value); i++)
		if (strncasecmp(name, "client-cert", 11) == 0)
			used += (size_t) snprintf(text + used, sizeof(text) - used, "got %s: %s\n", name, value);
	for (size_t i = 0; (value = host->client_cert(request, i)); i++)
		used += (size_t) snprintf(text + used, sizeof(text) - used, "%s: %s\n",
					  i == 0 ? "Client-Cert" : "Client-Cert-Chain", value);
	for (size_t i = 0; (value = host->identity(request, MTLSD_ID_PURPOSE, i)); i++)
		used += (size_t) snprintf(text + used, sizeof(text) - used, "Purpose: %s\n", value);
	int length = host->channel_binding(request, binding, sizeof(binding));
	used += (size_t) snprintf(text + used, sizeof(text) - used, "Binding: %d ", length);
	for (int i = 0; i < length; i++)
		used += (size_t) snprintf(text + used, sizeof(text) - used, "%02x", binding[i]);
	used += (size_t) snprintf(text + used, sizeof(text) - used, "\nSmall: %d\n",
				  host->channel_binding(request, small, sizeof(small)));
	if (used >= sizeof(text))
		return MTLSD_FAIL;
	return fixture_answer(host, request, 200, text);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("forward", "1.0", "tells what a proxy would pass on about the client"),
	.flags = MTLSD_CONCURRENT,
	.init = forward_init,
	.request = forward_request,
};
