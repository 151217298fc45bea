/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* config-check.h - what no single key can say: names that must exist or be unique, values that must fit together.
 *
 * Threads: the snapshot belongs to the caller. Owns: nothing; filled-in values belong to the snapshot.
 */
#include "config.h"

/* Records mistakes in the reader, resolves references, fills in what depends on other keys. Works on what a file with
 * mistakes left, so that one run names all of them. 0, -EINVAL or -ENOMEM. */
int config_check(struct schema_reader *reader, struct config *config);
/* The part about routes (config-routes.c); called by config_check once the names of plugins are known. */
int config_check_routes(struct schema_reader *reader, struct config *config);
/* Who may and may not use a route (config-rules.c). Works in place: rules take the form certificates are kept in. */
int config_check_rules(struct schema_reader *reader, const struct config_route *route);
void config_check_pattern(struct schema_reader *reader, const struct yaml_node *node, const char *key,
			  const char *pattern);
bool config_has_control_byte(const char *text);
/* One tls set (config-tls.c). */
int config_check_tls(struct schema_reader *reader, struct config_tls *tls);
/* The part about what is done by itself about a plugin (config-policy.c). */
void config_check_policy(struct schema_reader *reader, const struct config *config, const struct config_plugin *plugin);
/* Where a mistake about a key is shown: at its value, or at the mapping that lacks it. */
const struct yaml_node *config_place(const struct yaml_node *map, const char *key);
