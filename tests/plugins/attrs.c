/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attrs - a handler that tells the attributes named in its settings, one "name=value" a line, and the body's length. */
#include "fixture.h"

static const mtlsd_host *host;
static const mtlsd_config *settings;

static const mtlsd_option options[] = {
	{.name = "names", .type = MTLSD_OPTION_STRINGS, .fallback = "filter", .help = "Attributes to tell."},
	{.name = NULL},
};

static int
attrs_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config,
	   void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	settings = config;
	return 0;
}

static mtlsd_action
attrs_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	const char *name, *value;
	char text[2048];
	size_t index, length = 0;

	for (index = 0; (name = host->config_item(settings, "names", index)); index++) {
		value = host->attribute(request, name);
		length += (size_t) snprintf(text + length, sizeof(text) - length, "%s=%s\n", name,
					    value ? value : "(none)");
		if (length >= sizeof(text))
			return MTLSD_FAIL;
	}
	host->body(request, &index);
	length += (size_t) snprintf(text + length, sizeof(text) - length, "body=%zu\n", index);
	if (length >= sizeof(text))
		return MTLSD_FAIL;
	return fixture_answer(host, request, 200, text);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("attrs", "1.0", "tells the attributes filters left"),
	.flags = MTLSD_CONCURRENT,
	.options = options,
	.init = attrs_init,
	.request = attrs_request,
};
