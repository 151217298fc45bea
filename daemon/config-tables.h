/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* config-tables.h - the keys of the configuration file as schema tables: for config.c and config-check.c only.
 *
 * Threads: tables are const. Owns: nothing; what was read belongs to the snapshot.
 */
#include "config.h"

/* Read into a zeroed struct config. */
extern const struct schema_row config_rows[];
/* Of one tls set (config-tls.c). */
extern const struct schema_row config_tls_rows[];
int config_tls_add(struct schema_reader *reader, void *base, const struct yaml_node *node);
void config_tls_release(struct config_tls *tls);
/* Of one plugin, into struct config_plugin (config-policy.c). */
extern const struct schema_row config_leak_rows[], config_restart_rows[], config_breaker_rows[];

/* One more zeroed item behind *items. Room doubles, so that *count alone tells when to grow. NULL: out of memory. */
void *config_list_add(void *items, size_t *count, size_t size);
/* Releases what the tables and the checks put into the snapshot: strings, lists and their items, not the tree. */
void config_tables_release(struct config *config);
