/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "label.h"

#include "cleanup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
close_file(FILE **file)
{
	if (*file != NULL)
		(void) fclose(*file);
}

/* What chance does to a thousand events or more; where there are fewer, the label says so. */
static const double SPREAD = 0.05;

/* --- words ------------------------------------------------------------------------------------------------------- */

/* A bit for each of the words "a|b". */
static unsigned
read_bits(const char *words, const char *(*name_of)(unsigned), unsigned count)
{
	char copy[128], *rest = copy, *word;
	unsigned bits = 0;

	(void) snprintf(copy, sizeof(copy), "%s", words);
	while ((word = strsep(&rest, "|")) != NULL) {
		for (unsigned i = 0; i < count; i++) {
			if (strcmp(word, name_of(i)) == 0)
				bits |= 1U << i;
		}
	}
	return bits;
}

static const char *
axis_word(unsigned axis)
{
	static const char *const words[SIGNALS_AXES] = {
		[SIGNALS_REQUESTS] = "request",       [SIGNALS_ERRORS] = "error",   [SIGNALS_HANDSHAKES] = "handshake",
		[SIGNALS_CONNECTIONS] = "connection", [SIGNALS_CLIENTS] = "client", [SIGNALS_SECONDS] = "second",
	};
	return words[axis];
}

static const char *
class_word(unsigned class)
{
	static const char *const words[] = {
		[VERDICT_NONE] = "none",
		[VERDICT_LEAK] = "leak",
		[VERDICT_CACHE_GROWTH] = "cache-growth",
		[VERDICT_CLIENT_STATE] = "client-state",
		[VERDICT_FRAGMENTATION] = "fragmentation",
		[VERDICT_GROWING_BUFFER] = "growing-buffer",
	};
	return words[class];
}

static bool
read_mix(const char *words, struct traffic_mix *mix)
{
	const struct {
		const char *name;
		double *value;
	} rows[] = {
		{"rate", &mix->rate},           {"errors", &mix->errors},   {"aborts", &mix->aborts},
		{"slow", &mix->slow},           {"length", &mix->length},   {"resumed", &mix->resumed},
		{"newcomers", &mix->newcomers}, {"special", &mix->special}, {"keys", &mix->keys},
	};
	char copy[256], *rest = copy, *word;

	(void) snprintf(copy, sizeof(copy), "%s", words);
	while ((word = strsep(&rest, " ")) != NULL) {
		char *equals = strchr(word, '=');
		bool known = false;
		if (equals == NULL)
			return false;
		*equals = '\0';
		for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
			if (strcmp(word, rows[i].name) == 0) {
				*rows[i].value = strtod(equals + 1, NULL);
				known = true;
			}
		}
		if (!known)
			return false;
	}
	return true;
}

/* --- a label ----------------------------------------------------------------------------------------------------- */

static bool
read_line(struct label *label, const char *key, const char *value)
{
	if (strcmp(key, "kind") == 0) {
		label->leaky = strcmp(value, "leaky") == 0;
		return label->leaky || strcmp(value, "clean") == 0;
	}
	if (strcmp(key, "heap") == 0) {
		label->foreign = strcmp(value, "foreign") == 0;
		return label->foreign || strcmp(value, "own") == 0;
	}
	if (strcmp(key, "site") == 0)
		return snprintf(label->site, sizeof(label->site), "%s", value) < (int) sizeof(label->site);
	if (strcmp(key, "bytes") == 0)
		return (label->bytes = strtod(value, NULL)) > 0;
	if (strcmp(key, "least") == 0)
		return (label->least = strtod(value, NULL)) > 0;
	if (strcmp(key, "spread") == 0)
		return (label->spread = strtod(value, NULL)) > 0;
	if (strcmp(key, "bound") == 0)
		return (label->bound = strtod(value, NULL)) > 0;
	if (strcmp(key, "bar") == 0)
		return (label->bar = (unsigned) strtoul(value, NULL, 10)) > 0;
	if (strcmp(key, "axis") == 0)
		return (label->axes = read_bits(value, axis_word, SIGNALS_AXES)) != 0;
	if (strcmp(key, "accept") == 0)
		return (label->classes = read_bits(value, class_word, VERDICT_GROWING_BUFFER + 1)) != 0;
	if (strcmp(key, "requests") == 0)
		return (label->requests = strtoull(value, NULL, 10)) > 0;
	if (strcmp(key, "healthy-seconds") == 0)
		return (label->onset = strtoull(value, NULL, 10) * 1000000) > 0;
	if (strcmp(key, "reload-at") == 0)
		return (label->reload_at = strtoull(value, NULL, 10)) > 0;
	if (strcmp(key, "reload") == 0)
		return snprintf(label->reload, sizeof(label->reload), "%s", value) < (int) sizeof(label->reload);
	if (strcmp(key, "traffic") == 0)
		return read_mix(value, &label->mix);
	return false;
}

const char *
label_part_name(enum label_part part)
{
	switch (part) {
	case LABEL_TUNE:
		return "tune";
	case LABEL_VALIDATION:
		return "validation";
	case LABEL_SEALED:
		return "sealed";
	case LABEL_BEYOND:
		return "beyond";
	default:
		return "all";
	}
}

static bool
read_part(const char *word, enum label_part *ret)
{
	for (unsigned part = 1; part < LABEL_ALL; part *= 2) {
		if (strcmp(word, label_part_name(part)) == 0) {
			*ret = part;
			return true;
		}
	}
	return false;
}

int
label_read(const char *folder, const char *name, struct label *ret)
{
	struct label label = {.requests = 250000, .spread = SPREAD, .mix = traffic_default_mix()};
	char path[PATH_MAX], line[256];
	unsigned number = 0;

	(void) snprintf(label.name, sizeof(label.name), "%s", name);
	(void) snprintf(path, sizeof(path), "%s/%s.label", folder, name);
	CLEANUP(close_file) FILE *file = fopen(path, "re");
	if (file == NULL) {
		(void) fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -ENOENT;
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		number++;
		line[strcspn(line, "\n")] = '\0';
		char *colon = strstr(line, ": ");
		if (line[0] == '#' || line[0] == '\0')
			continue;
		if (colon != NULL)
			*colon = '\0';
		if (colon == NULL || !read_line(&label, line, colon + 2)) {
			(void) fprintf(stderr, "%s:%u: not a line of a label\n", path, number);
			return -EINVAL;
		}
	}
	*ret = label;
	return 0;
}

int
label_read_all(const char *folder, struct label *ret, size_t room)
{
	char path[PATH_MAX], line[256], part[16], kind[16], name[32];
	size_t count = 0;

	(void) snprintf(path, sizeof(path), "%s/SPLIT", folder);
	CLEANUP(close_file) FILE *file = fopen(path, "re");
	if (file == NULL) {
		(void) fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -ENOENT;
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		if (line[0] == '#' || sscanf(line, "%15s %15s %31s", part, kind, name) != 3)
			continue;
		if (count == room)
			return -E2BIG;
		(void) snprintf(path, sizeof(path), "%s/%s", folder, part);
		int r = label_read(path, name, &ret[count]);
		if (r < 0)
			return r;
		if (!read_part(part, &ret[count].part)) {
			(void) fprintf(stderr, "%s: SPLIT knows no part \"%s\"\n", name, part);
			return -EINVAL;
		}
		if (ret[count].leaky != (strcmp(kind, "leaky") == 0)) {
			(void) fprintf(stderr, "%s: SPLIT and label do not agree\n", name);
			return -EINVAL;
		}
		count++;
	}
	return (int) count;
}
