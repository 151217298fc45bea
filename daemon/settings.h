/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* settings.h - a plugin's own `config:` mapping, checked by the plugin's own option table.
 *
 * Threads: immutable after settings_read. Owns: copies of all names and values.
 */
#include "mtlsd/plugin.h"

#include "schema.h"

struct settings; /* what a plugin sees as mtlsd_config */

/* Checks the option table itself (names, types, bounds): -EINVAL with a sentence for a broken one. */
int settings_check_options(const mtlsd_option *options, struct error *error);
/* node: the mapping, NULL: empty. Mistakes go to the reader with their places; -EINVAL then. */
int settings_read(struct schema_reader *reader, const mtlsd_option *options, const struct yaml_node *node,
		  struct settings **ret);
void settings_free(struct settings **settings);
bool settings_equal(const struct settings *a, const struct settings *b);

/* Getters behind mtlsd_host; unknown names read as 0 and NULL. */
int64_t settings_int(const struct settings *settings, const char *name);
const char *settings_string(const struct settings *settings, const char *name);
const char *settings_item(const struct settings *settings, const char *name, size_t index);
