/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How often call stacks of allocations are recorded. */
#include "command.h"
#include "server.h"
#include "supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int
command_sampling(const struct command_call *call, json_t **ret, struct error *error)
{
	uint64_t interval = command_number(call, "interval");
	struct supervisor_plugin plugin;
	struct error why = {0};
	char sentence[120];
	int r = command_plugin(call, &plugin, error);

	if (r < 0)
		return r;
	if (command_flag(call, "dry_run")) {
		snprintf(sentence, sizeof(sentence),
			 "record a call stack about every %" PRIu64 " bytes; now it is every %" PRIu64, interval,
			 plugin.sample_interval);
		return command_reply(json_pack("{s:o, s:I, s:s}", "plugin", command_text(plugin.name), "before",
					       (json_int_t) plugin.sample_interval, "would", sentence),
				     ret, error);
	}
	r = supervisor_sampling(server_supervisor(call->context->server), plugin.name, interval, &why);
	if (r < 0)
		return error_set(error, r == -ENOENT ? -EIO : r, "%s", why.code ? why.text : strerror(-r));
	return command_reply(json_pack("{s:o, s:I, s:I}", "plugin", command_text(plugin.name), "interval",
				       (json_int_t) interval, "before", (json_int_t) plugin.sample_interval),
			     ret, error);
}

/* clang-format off */
static const struct command_column sampling_columns[] = {
	{"plugin", "plugin", "text"},
	{"interval", "interval", "limit"},
	{"before", "before", "limit"},
	{"would", "would", "text"},
	{0},
};
const struct command_block command_sampling_blocks[] = {
	{.key = "", .kind = COMMAND_FIELDS, .columns = sampling_columns},
	{0},
};
/* clang-format on */
