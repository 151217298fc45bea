/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* yaml.h - a YAML file as a tree of nodes that know their line and column.
 *
 * The one owner of libyaml. One document, UTF-8; anchors/aliases, tags and duplicate keys are refused with their place.
 * Bounded: depth 32, 100,000 nodes, 4 MiB of text.
 *
 * Threads: a tree belongs to its caller. Owns: yaml_release releases the whole tree and its strings.
 */
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
	enum yaml_kind kind;
	int line, column; /* from 1 */
	bool quoted;      /* scalar: was quoted, so that "no" stays a word */
	const char *text; /* scalar, NUL-terminated; NULL otherwise */
	size_t count;     /* list: items; map: pairs */
	struct yaml_node **keys;   /* map only, scalars */
	struct yaml_node **values; /* list items or map values */
};

/* name: what messages call the input ("mtlsd.yaml"). An empty document is an empty map. */
int yaml_read(const char *name, const char *text, size_t length, struct yaml_node **ret, struct error *error);
int yaml_read_file(const char *path, struct yaml_node **ret, struct error *error);
/* The value of a key, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
/* Clears the pointer; accepts NULL. (Not yaml_free: libyaml exports one, which ours would replace inside the library.)
 */
void yaml_release(struct yaml_node **root);
