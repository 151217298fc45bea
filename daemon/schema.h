/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* schema.h - tables of typed options: checked, defaulted and documented from the same rows.
 *
 * A row says key, type, range, default, unit and help. Reading a mapping against a table refuses unknown keys (with the
 * nearest valid name), wrong types, values out of range and missing required keys, each as file:line:column, and keeps
 * going, so that one run reports every mistake.
 *
 * A struct read into is zeroed by the caller; after a failure it holds what could be read, and schema_release is due
 * all the same.
 *
 * Threads: tables are const; a reader belongs to its caller.
 * Owns: values read belong to the struct they were read into.
 */
#include "error.h"
#include "yaml.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum schema_type {
	SCHEMA_BOOL,     /* bool: true/false/yes/no/on/off */
	SCHEMA_INT,      /* int64_t */
	SCHEMA_SIZE,     /* uint64_t bytes: 4096, 16KiB, 64MiB, 1GiB (also K M G) */
	SCHEMA_DURATION, /* uint64_t microseconds: 250ms, 10s, 5min, 1h, 7d; a bare number is refused */
	SCHEMA_STRING,   /* char *, owned */
	SCHEMA_PATH,     /* char *, owned; relative to the file's folder, but names with a scheme of the row's */
	SCHEMA_MODE,     /* unsigned: octal file mode, 0660 */
	SCHEMA_CHOICE,   /* int: index into choices */
	SCHEMA_STRINGS,  /* struct schema_strings: one scalar or a list of them */
	SCHEMA_DECIMAL,  /* double, never negative: 0.8; min and max in thousandths */
	SCHEMA_FLAGS,    /* unsigned: the set of the choices' indexes as bits, from one word or a list of them */
	SCHEMA_GROUP,    /* a nested mapping read with `rows` into the struct at offset */
	SCHEMA_LIST,     /* a list of mappings, handed one by one to `item` */
	SCHEMA_ANY,      /* const struct yaml_node *, not checked here (a plugin's own config) */
};

struct schema_strings {
	char **items;
	size_t count;
};

struct schema_reader; /* file name, base folder, errors so far, context pointer */

struct schema_row {
	const char *key;
	enum schema_type type;
	size_t offset;
	bool required;
	int64_t min, max;           /* INT, SIZE, DURATION (in microseconds): both 0 = no bound; STRING/PATH: length */
	const char *fallback;       /* default as text, parsed like the file's (FLAGS: "a|b"); NULL: zero/NULL */
	const char *choices;        /* CHOICE, FLAGS: "off|soft|required" */
	const char *unit;           /* for the reference: "bytes", "duration", … NULL: from the type */
	const char *help;           /* one or two sentences for the reference */
	const struct schema_row *rows; /* GROUP, LIST: the nested table, ended by a row without key */
	/* LIST: called for each item; base is what schema_read was given for the mapping the list stands in. */
	int (*item)(struct schema_reader *reader, void *base, const struct yaml_node *node);
};

int schema_reader_new(const char *file, void *context, struct schema_reader **ret);
void *schema_reader_context(const struct schema_reader *reader);
/* Reads node into base by rows; defaults first. 0, or -EINVAL with the mistakes kept in the reader. */
int schema_read(struct schema_reader *reader, const struct schema_row *rows, const struct yaml_node *node, void *base);
/* Records one mistake at a node: "file:line:column: text". Returns -EINVAL. */
int schema_mistake(struct schema_reader *reader, const struct yaml_node *node, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* At most 50 are kept; the 51st text says how many there are beyond. In the order of the file. */
size_t schema_mistake_count(const struct schema_reader *reader);
const char *schema_mistake_text(const struct schema_reader *reader, size_t index);
void schema_reader_free(struct schema_reader **reader);
/* Releases what schema_read allocated inside base (strings, lists), groups included, LIST items excluded. */
void schema_release(const struct schema_row *rows, void *base);
/* The reference as plain text: one entry a row, nested with their dotted names, with type, range, default, help. */
void schema_print_reference(const struct schema_row *rows, const char *prefix, FILE *out);
/* The name in a NULL-ended list nearest to word (edit distance, at most 3), or NULL. */
const char *schema_nearest(const char *word, const char *const *names);
