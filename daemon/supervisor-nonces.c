/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The nonces of plugins as the configuration wants them kept. */
#include "supervisor-internal.h"

#include <errno.h>

/* plugin may be NULL: none are kept. */
static struct nonces_settings
settings_of(const struct config_plugin *plugin)
{
	enum { SECOND = 1000000 };

	if (plugin == NULL || plugin->nonces.window == 0)
		return (struct nonces_settings){0};
	return (struct nonces_settings){
		.window = (int64_t) ((plugin->nonces.window + SECOND - 1) / SECOND),
		.skew = (int64_t) ((plugin->nonces.skew + SECOND - 1) / SECOND),
		.capacity = plugin->nonces.capacity,
	};
}

int
unit_open_nonces(struct unit *unit, const struct config *config, const struct config_plugin *plugin,
		 struct error *error)
{
	struct nonces_settings settings = settings_of(plugin);
	struct nonces_time time = nonces_time();

	if (settings.window == 0)
		return 0;
	int r = nonces_open(plugin_nonces(unit->plugin), config->daemon.nonce_directory, &settings, &time, error);
	const struct yaml_node *node = yaml_get(plugin->node, "nonces");
	return r < 0 ? error_prefix(error, "%s:%d:%d", config->file, node->line, node->column) : 0;
}

void
unit_set_nonces(struct unit *unit, const struct config_plugin *plugin)
{
	struct nonces_settings settings = settings_of(plugin);

	if (settings.window > 0)
		nonces_set(plugin_nonces(unit->plugin), &settings, nonces_time().now);
}

void
unit_close_nonces(struct unit *unit)
{
	struct nonces_settings settings = settings_of(unit->config);

	if (settings.window == 0)
		nonces_set(plugin_nonces(unit->plugin), &settings, nonces_time().now);
}

int
supervisor_nonces(struct supervisor *supervisor, const char *name, struct nonces_report *ret)
{
	struct unit *unit = supervisor_unit(supervisor, name);

	if (unit == NULL)
		return -ENOENT;
	nonces_read(plugin_nonces(unit->plugin), nonces_time().now, ret);
	return 0;
}
