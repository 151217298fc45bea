/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
/* libyaml's header has our header's name: the detour finds it in whatever include folder it lies, never in ours. */
#include <../include/yaml.h>

enum {
	DEPTH_MAX = 32,
	NODES_MAX = 100000,
	TEXT_MAX = 4 * 1024 * 1024,
};

/* A list or map whose end has not been read. */
struct level {
	struct yaml_node *node;
	size_t capacity;
	bool wants_value; /* map: the last key has none yet */
};

struct reading {
	const char *name;
	const char *text;
	size_t length;
	struct error *error;
	struct yaml_node *root;
	struct level levels[DEPTH_MAX];
	size_t depth, nodes;
	bool have_document;
};

/* Recursion is bounded by DEPTH_MAX. */
static void
node_free(struct yaml_node *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->count; i++) {
		if (node->keys)
			node_free(node->keys[i]);
		node_free(node->values[i]);
	}
	free(node->keys);
	free(node->values);
	free((char *) node->text);
	free(node);
}

static int
refuse(const struct reading *reading, const yaml_mark_t *mark, const char *text)
{
	return error_set(reading->error, -EINVAL, "%s:%zu:%zu: %s", reading->name, mark->line + 1, mark->column + 1,
			 text);
}

static int
refuse_memory(const struct reading *reading)
{
	return error_set(reading->error, -ENOMEM, "%s: out of memory while reading it", reading->name);
}

/* libyaml's words for what people get wrong most, and what to do about it. */
static const struct {
	const char *problem, *cure;
} cures[] = {
	{"mapping values are not allowed in this context", "check the indentation, or quote a value that holds \": \""},
	{"did not find expected key",
	 "check that this line is indented like its neighbours, and that quotes are closed"},
	{"did not find expected '-' indicator", "every item of the list starts with \"- \" in the same column"},
	{"block sequence entries are not allowed in this context", "put the list on lines of its own below the key"},
	{"could not find expected ':'", "write \"key: value\""},
	{"found unexpected end of stream", "a quote is not closed"},
	{"did not find expected ',' or ']'", "close the list with \"]\""},
	{"did not find expected ',' or '}'", "close the mapping with \"}\""},
	{"found unknown escape character", "use single quotes, in which a backslash stands for itself"},
	{"found character that cannot start any token", "quote the value"},
	{"control characters are not allowed", "remove the byte"},
	{"invalid leading UTF-8 octet", "save the file as UTF-8"},
	{"invalid trailing UTF-8 octet", "save the file as UTF-8"},
	{"incomplete UTF-8 octet sequence", "save the file as UTF-8"},
};

static const char *
cure_of(const char *problem)
{
	for (size_t i = 0; i < ARRAY_LENGTH(cures); i++)
		if (strcmp(cures[i].problem, problem) == 0)
			return cures[i].cure;
	return "check indentation, quotes and brackets";
}

/* Byte offset to line and column: libyaml gives no mark for what its reader refuses. */
static void
mark_of_offset(const struct reading *reading, size_t offset, yaml_mark_t *ret)
{
	*ret = (yaml_mark_t){.index = offset};
	for (size_t i = 0; i < offset && i < reading->length; i++) {
		if (reading->text[i] == '\n') {
			ret->line++;
			ret->column = 0;
		} else if (((unsigned char) reading->text[i] & 0xc0) != 0x80) {
			ret->column++;
		}
	}
}

/* True if the line has a tab before its first other character. */
static bool
is_indented_by_tab(const struct reading *reading, size_t line)
{
	const char *p = reading->text, *end = reading->text + reading->length;

	while (line > 0 && p < end) {
		p = memchr(p, '\n', (size_t) (end - p));
		if (!p)
			return false;
		p++;
		line--;
	}
	while (p < end && *p == ' ')
		p++;
	return p < end && *p == '\t';
}

static int
refuse_syntax(const struct reading *reading, const yaml_parser_t *parser)
{
	const char *problem = parser->problem ? parser->problem : "cannot be read";
	yaml_mark_t mark = parser->problem_mark;
	char text[300];

	if (parser->error == YAML_MEMORY_ERROR)
		return refuse_memory(reading);
	if (parser->error == YAML_READER_ERROR)
		mark_of_offset(reading, parser->problem_offset, &mark);
	if (is_indented_by_tab(reading, mark.line))
		return refuse(reading, &mark, "a tab in the indentation; YAML is indented with spaces only");
	(void) snprintf(text, sizeof(text), "YAML syntax: %s%s%s; %s", problem, parser->context ? " " : "",
			parser->context ? parser->context : "", cure_of(problem));
	return refuse(reading, &mark, text);
}

static int
level_grow(struct level *level)
{
	struct yaml_node *node = level->node;
	size_t capacity = level->capacity ? level->capacity * 2 : 8;
	void *p;

	if (node->count < level->capacity)
		return 0;
	p = reallocarray(node->values, capacity, sizeof(*node->values));
	if (!p)
		return -ENOMEM;
	node->values = p;
	if (node->kind == YAML_MAP) {
		p = reallocarray(node->keys, capacity, sizeof(*node->keys));
		if (!p)
			return -ENOMEM;
		node->keys = p;
	}
	level->capacity = capacity;
	return 0;
}

/* Hangs node into the innermost open list or map, which owns it from then on. Frees it on failure. */
static int
node_attach(struct reading *reading, struct yaml_node *node, const yaml_mark_t *mark)
{
	struct level *level = reading->depth > 0 ? &reading->levels[reading->depth - 1] : NULL;
	struct yaml_node *parent = level ? level->node : NULL;

	if (!level) {
		reading->root = node;
		return 0;
	}
	if (level->wants_value) {
		parent->values[parent->count - 1] = node;
		level->wants_value = false;
		return 0;
	}
	if (parent->kind == YAML_MAP && node->kind != YAML_SCALAR) {
		node_free(node);
		return refuse(reading, mark, "a key must be a word; check the brackets and the indentation");
	}
	if (level_grow(level) < 0) {
		node_free(node);
		return refuse_memory(reading);
	}
	parent->values[parent->count] = parent->kind == YAML_MAP ? NULL : node;
	if (parent->kind == YAML_MAP) {
		parent->keys[parent->count] = node;
		level->wants_value = true;
	}
	parent->count++;
	return 0;
}

static int
node_new(struct reading *reading, enum yaml_kind kind, const yaml_mark_t *mark, struct yaml_node **ret)
{
	struct yaml_node *node;

	if (reading->nodes >= NODES_MAX)
		return refuse(reading, mark, "the file holds more than 100000 values; split or shorten it");
	node = calloc(1, sizeof(*node));
	if (!node)
		return refuse_memory(reading);
	reading->nodes++;
	node->kind = kind;
	node->line = (int) mark->line + 1;
	node->column = (int) mark->column + 1;
	*ret = node;
	return 0;
}

static int
refuse_decoration(const struct reading *reading, const yaml_mark_t *mark, const void *anchor, const void *tag)
{
	if (anchor)
		return refuse(reading, mark, "anchors (&name) are not supported; write the value out where it is used");
	if (tag)
		return refuse(reading, mark, "tags (!name) are not supported; remove it, types come from the key");
	return 0;
}

static int
read_scalar(struct reading *reading, const yaml_event_t *event)
{
	const char *text = (const char *) event->data.scalar.value;
	size_t length = event->data.scalar.length;
	struct yaml_node *node;
	int r;

	r = refuse_decoration(reading, &event->start_mark, event->data.scalar.anchor, event->data.scalar.tag);
	if (r < 0)
		return r;
	if (memchr(text, '\0', length))
		return refuse(reading, &event->start_mark, "the value holds a NUL byte; remove the \\0");
	r = node_new(reading, YAML_SCALAR, &event->start_mark, &node);
	if (r < 0)
		return r;
	node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	node->text = strndup(text, length);
	if (!node->text) {
		node_free(node);
		return refuse_memory(reading);
	}
	return node_attach(reading, node, &event->start_mark);
}

static int
read_start(struct reading *reading, enum yaml_kind kind, const yaml_mark_t *mark, const void *anchor, const void *tag)
{
	struct yaml_node *node;
	int r;

	r = refuse_decoration(reading, mark, anchor, tag);
	if (r < 0)
		return r;
	if (reading->depth == DEPTH_MAX)
		return refuse(reading, mark, "nested deeper than 32 levels; flatten it");
	r = node_new(reading, kind, mark, &node);
	if (r < 0)
		return r;
	r = node_attach(reading, node, mark);
	if (r < 0)
		return r;
	reading->levels[reading->depth++] = (struct level){.node = node};
	return 0;
}

static int
key_compare(const void *a, const void *b)
{
	const struct yaml_node *left = *(struct yaml_node *const *) a, *right = *(struct yaml_node *const *) b;
	int order = strcmp(left->text, right->text);

	if (order == 0)
		order = (left->line > right->line) - (left->line < right->line);
	return order ? order : (left->column > right->column) - (left->column < right->column);
}

static int
refuse_duplicates(const struct reading *reading, const struct yaml_node *map)
{
	CLEANUP_FREE struct yaml_node **sorted = NULL;

	if (map->count < 2)
		return 0;
	sorted = reallocarray(NULL, map->count, sizeof(*sorted));
	if (!sorted)
		return refuse_memory(reading);
	memcpy(sorted, map->keys, map->count * sizeof(*sorted));
	qsort(sorted, map->count, sizeof(*sorted), key_compare);
	for (size_t i = 1; i < map->count; i++) {
		if (strcmp(sorted[i - 1]->text, sorted[i]->text) == 0)
			return error_set(reading->error, -EINVAL,
					 "%s:%d:%d: key \"%.60s\" is there already (line %d); remove one of the two",
					 reading->name, sorted[i]->line, sorted[i]->column, sorted[i]->text,
					 sorted[i - 1]->line);
	}
	return 0;
}

static int
read_event(struct reading *reading, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (reading->have_document)
			return refuse(reading, &event->start_mark,
				      "a second document begins; remove the \"---\", one file is one document");
		reading->have_document = true;
		return 0;
	case YAML_ALIAS_EVENT:
		return refuse(reading, &event->start_mark,
			      "aliases (*name) are not supported; write the value out, "
			      "or quote it if it begins with a star");
	case YAML_SCALAR_EVENT:
		return read_scalar(reading, event);
	case YAML_SEQUENCE_START_EVENT:
		return read_start(reading, YAML_LIST, &event->start_mark, event->data.sequence_start.anchor,
				  event->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return read_start(reading, YAML_MAP, &event->start_mark, event->data.mapping_start.anchor,
				  event->data.mapping_start.tag);
	case YAML_MAPPING_END_EVENT:
		reading->depth--;
		return refuse_duplicates(reading, reading->levels[reading->depth].node);
	case YAML_SEQUENCE_END_EVENT:
		reading->depth--;
		return 0;
	default:
		return 0;
	}
}

/* The parser hands out one event at a time, so that our bounds stop it early. */
static int
read_events(struct reading *reading, yaml_parser_t *parser)
{
	yaml_event_t event;
	bool end = false;
	int r = 0;

	while (!end && r == 0) {
		if (!yaml_parser_parse(parser, &event))
			return refuse_syntax(reading, parser);
		end = event.type == YAML_STREAM_END_EVENT;
		r = read_event(reading, &event);
		yaml_event_delete(&event);
	}
	return r;
}

/* No document, or one that says nothing: an empty map. */
static int
root_default(struct reading *reading)
{
	const yaml_mark_t start = {0};

	if (reading->root && (reading->root->kind != YAML_SCALAR || reading->root->quoted || *reading->root->text))
		return 0;
	yaml_release(&reading->root);
	return node_new(reading, YAML_MAP, &start, &reading->root);
}

int
yaml_read(const char *name, const char *text, size_t length, struct yaml_node **ret, struct error *error)
{
	struct reading reading = {.name = name, .error = error};
	yaml_parser_t parser;
	int r;

	if (length > TEXT_MAX)
		return error_set(error, -EFBIG, "%s: larger than 4 MiB; split or shorten it", name);
	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		/* With the encoding fixed below, libyaml would take the byte order mark for text. */
		text += 3;
		length -= 3;
	}
	reading.text = text;
	reading.length = length;
	if (!yaml_parser_initialize(&parser))
		return refuse_memory(&reading);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *) text, length);
	r = read_events(&reading, &parser);
	yaml_parser_delete(&parser);
	if (r == 0)
		r = root_default(&reading);
	if (r < 0) {
		yaml_release(&reading.root);
		return r;
	}
	*ret = reading.root;
	return 0;
}

/* Reads to the end; the size of a file may change under us. */
static int
text_read(int fd, char *text, size_t size, size_t *ret_length)
{
	size_t used = 0;

	while (used < size) {
		ssize_t n = read(fd, text + used, size - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t) n;
	}
	*ret_length = used;
	return 0;
}

static int
read_descriptor(int fd, const char *path, struct yaml_node **ret, struct error *error)
{
	CLEANUP_FREE char *text = NULL;
	size_t length = 0;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return error_set(error, -errno, "%s: cannot be looked at (%s)", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(error, -EINVAL, "%s: not a regular file; give the path of the YAML file itself", path);
	text = malloc(TEXT_MAX + 1);
	if (!text)
		return error_set(error, -ENOMEM, "%s: out of memory while reading it", path);
	r = text_read(fd, text, TEXT_MAX + 1, &length);
	if (r < 0)
		return error_set(error, r, "%s: cannot be read (%s)", path, strerror(-r));
	return yaml_read(path, text, length, ret, error);
}

int
yaml_read_file(const char *path, struct yaml_node **ret, struct error *error)
{
	/* O_NONBLOCK: a FIFO in the file's place must not hang a reload. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r;

	if (fd < 0)
		return error_set(error, -errno, "%s: cannot be opened (%s); check the path and its permissions", path,
				 strerror(errno));
	r = read_descriptor(fd, path, ret, error);
	(void) close(fd);
	return r;
}

const struct yaml_node *
yaml_get(const struct yaml_node *map, const char *key)
{
	if (!map || map->kind != YAML_MAP)
		return NULL;
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->keys[i]->text, key) == 0)
			return map->values[i];
	return NULL;
}

void
yaml_release(struct yaml_node **root)
{
	if (!root)
		return;
	node_free(*root);
	*root = NULL;
}
