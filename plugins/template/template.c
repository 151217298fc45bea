/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* template - a plugin to start from: settings, a counter, one answer. */
#include <errno.h>
#include <mtlsd/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const mtlsd_host *host;

/* What one instance knows; init makes it, every callback gets it, fini frees it. */
struct template {
	mtlsd_instance *self;
	const char *greeting; /* belongs to the settings, valid until fini */
	int greeted;
};

static const mtlsd_option options[] = {
	{.name = "greeting", .type = MTLSD_OPTION_STRING, .max = 100, .fallback = "hello", .help = "What to say."},
	{.name = NULL},
};

static int
template_init(const mtlsd_host *given, mtlsd_instance *self, const mtlsd_config *config, void **user, char *error,
	      size_t error_size)
{
	struct template *template = calloc(1, sizeof(*template));

	if (!template) {
		snprintf(error, error_size, "no memory: raise the plugin's memory.hard");
		return -ENOMEM;
	}
	host = given;
	template->self = self;
	template->greeting = host->config_string(config, "greeting");
	template->greeted = host->counter(self, "greeted", "clients greeted");
	*user = template;
	return 0;
}

static mtlsd_action
template_request(void *user, mtlsd_request *request)
{
	struct template *template = user;
	const char *subject = host->identity(request, MTLSD_ID_SUBJECT, 0);
	size_t size = strlen(template->greeting) + (subject ? strlen(subject) : 0) + 4;
	char *text = host->alloc(request, size); /* ends with the request */

	if (!text)
		return MTLSD_FAIL;
	snprintf(text, size, "%s, %s\n", template->greeting, subject ? subject : "");
	if (host->respond(request, 200, text, strlen(text)) < 0)
		return MTLSD_FAIL;
	host->count(template->self, template->greeted, 1);
	return MTLSD_DONE;
}

static void
template_fini(void *user)
{
	free(user);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("template", "0.1", "greets the client by its verified name"),
	.flags = MTLSD_CONCURRENT,
	.options = options,
	.init = template_init,
	.request = template_request,
	.fini = template_fini,
};
