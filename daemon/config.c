/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "config-check.h"
#include "config-tables.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* What config.h shows is the snapshot without its count. */
struct counted {
	struct config config;
	atomic_uint references;
};

/* Snapshots of a process are numbered in the order they were made. */
static atomic_uint_least64_t generations;

static void
config_free(struct counted *counted)
{
	config_tables_release(&counted->config);
	yaml_release(&counted->config.tree);
	free(counted->config.file);
	free(counted);
}

struct config *
config_ref(struct config *config)
{
	struct counted *counted = CONTAINER_OF(config, struct counted, config);

	(void) atomic_fetch_add_explicit(&counted->references, 1, memory_order_relaxed);
	return config;
}

void
config_unref(struct config **config)
{
	struct counted *counted;

	if (!config || !*config)
		return;
	counted = CONTAINER_OF(*config, struct counted, config);
	*config = NULL;
	if (atomic_fetch_sub_explicit(&counted->references, 1, memory_order_acq_rel) == 1)
		config_free(counted);
}

/* All mistakes, one a line. NULL when memory is short. */
static char *
mistakes_join(const struct schema_reader *reader)
{
	size_t count = schema_mistake_count(reader), size = 1;
	char *text, *end;

	for (size_t i = 0; i < count; i++)
		size += strlen(schema_mistake_text(reader, i)) + 1;
	text = end = malloc(size);
	if (!text)
		return NULL;
	*end = '\0';
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			*end++ = '\n';
		end = stpcpy(end, schema_mistake_text(reader, i));
	}
	return text;
}

static int
config_fill(struct config *config, char **ret_mistakes)
{
	CLEANUP(schema_reader_free) struct schema_reader *reader = NULL;
	int r, check;

	r = schema_reader_new(config->file, config, &reader);
	if (r < 0)
		return r;
	r = schema_read(reader, config_rows, config->tree, config);
	if (r == -ENOMEM)
		return r;
	check = config_check(reader, config);
	if (check == -ENOMEM)
		return check;
	if (schema_mistake_count(reader) > 0 && ret_mistakes)
		*ret_mistakes = mistakes_join(reader);
	return r < 0 ? r : check;
}

/* Takes the tree, also on failure. */
static int
config_new(const char *file, struct yaml_node *tree, struct config **ret, char **ret_mistakes)
{
	struct counted *counted = calloc(1, sizeof(*counted));
	int r = -ENOMEM;

	if (!counted) {
		yaml_release(&tree);
		return -ENOMEM;
	}
	counted->config.tree = tree;
	counted->config.file = strdup(file);
	atomic_init(&counted->references, 1);
	if (counted->config.file)
		r = config_fill(&counted->config, ret_mistakes);
	if (r < 0) {
		config_free(counted);
		return r;
	}
	counted->config.generation = atomic_fetch_add_explicit(&generations, 1, memory_order_relaxed) + 1;
	*ret = &counted->config;
	return 0;
}

static int
config_finish(const char *file, int r, const struct error *error, struct yaml_node *tree, struct config **ret,
	      char **ret_mistakes)
{
	char *mistakes = NULL;

	if (r < 0)
		mistakes = strdup(error->text);
	else
		r = config_new(file, tree, ret, &mistakes);
	if (r < 0 && !mistakes && asprintf(&mistakes, "%s: cannot be checked (%s)", file, strerror(-r)) < 0)
		mistakes = NULL;
	if (ret_mistakes)
		*ret_mistakes = STEAL(mistakes);
	free(mistakes);
	return r;
}

int
config_load_text(const char *name, const char *text, size_t length, struct config **ret, char **ret_mistakes)
{
	struct yaml_node *tree = NULL;
	struct error error = {0};
	int r = yaml_read(name, text, length, &tree, &error);

	return config_finish(name, r, &error, tree, ret, ret_mistakes);
}

int
config_load(const char *path, struct config **ret, char **ret_mistakes)
{
	struct yaml_node *tree = NULL;
	struct error error = {0};
	int r = yaml_read_file(path, &tree, &error);

	return config_finish(path, r, &error, tree, ret, ret_mistakes);
}

void
config_print_reference(FILE *out)
{
	schema_print_reference(config_rows, "", out);
}
