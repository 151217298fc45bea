/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who holds what: the live blocks of a plugin by call site and age. Contents of blocks are never part of it. */
#include "command.h"
#include "difference.h"
#include "format.h"
#include "outlet.h"
#include "rendering.h"
#include "server.h"
#include "supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	DUMP_TOP = 40,                    /* rows of a reply when nobody says how many */
	DUMP_PATIENCE = 30 * 1000 * 1000, /* microseconds for a reader that stands still */
};

json_t *
command_place(const char *file, int line, const char *module, uint64_t offset)
{
	return format_place(file, line, module, offset);
}

static const char *
dump_route(void *ctx, unsigned number)
{
	return server_route(ctx, number);
}

/* The dump's bytes in a format that is written, not shown. */
static int
dump_format(const struct command_call *call, const struct supervisor_dump *dump, const json_t *reply, void **ret,
	    size_t *ret_length)
{
	const char *format = command_string(call, "format");
	char *text = NULL;
	int r = 0;

	if (strcmp(format, "pprof") == 0)
		return format_pprof(dump, dump_route, call->context->server, ret, ret_length);
	if (strcmp(format, "folded") == 0)
		r = format_folded(dump, &text, ret_length);
	else
		r = rendering_make(reply, JSON_INDENT(2), "\n", SIZE_MAX, &text, ret_length);
	if (r == 0)
		*ret = text;
	return r;
}

/* Replaces the dump by a note of what was written. */
static int
dump_write(const struct command_call *call, const struct supervisor_dump *dump, json_t **reply, struct error *error)
{
	CLEANUP_FREE void *data = NULL;
	size_t length = 0;
	json_t *note;
	int r = outlet_check(call->output, error);

	if (r < 0)
		return r;
	r = dump_format(call, dump, *reply, &data, &length);
	if (r < 0)
		return error_set(error, r, "the dump could not be written down: %s", strerror(-r));
	r = outlet_write(call->output, data, length, DUMP_PATIENCE, error);
	if (r < 0)
		return r;
	note = json_pack("{s:O, s:O, s:{s:s, s:I}}", "plugin", json_object_get(*reply, "plugin"), "instance",
			 json_object_get(*reply, "instance"), "written", "format", command_string(call, "format"),
			 "bytes", (json_int_t) length);
	json_decref(*reply);
	*reply = note;
	return 0;
}

/* Puts changes in the place of sites. */
static int
dump_compare(const struct command_call *call, uint64_t top, json_t *reply, struct error *error)
{
	json_t *base = json_object_get(call->arguments, "base"), *about = NULL, *changes = NULL;
	int r = difference_make(reply, base, &about, &changes, error);

	if (r < 0)
		return r;
	while (top != 0 && json_array_size(changes) > top)
		json_array_remove(changes, json_array_size(changes) - 1);
	json_object_set_new(reply, "base", about);
	json_object_set_new(reply, "changes", changes);
	json_object_del(reply, "sites");
	json_object_del(reply, "callers");
	json_object_del(reply, "ages");
	return 0;
}

static int
dump_check(const struct command_call *call, struct error *error)
{
	const char *format = command_string(call, "format");
	bool shown = strcmp(format, "text") == 0 || strcmp(format, "json") == 0;

	if (call->output < 0 && !shown)
		return error_set(error, -EINVAL,
				 "the format %s is written to a descriptor: pass one (mtlsctl: --output FILE)", format);
	if (json_object_get(call->arguments, "base") && !shown)
		return error_set(error, -EINVAL, "a difference is shown as text or json, not as %s", format);
	if (command_flag(call, "peak") && command_number(call, "min_age") != 0)
		return error_set(error, -EINVAL, "the peak is kept as it was, ages and all: leave out min_age");
	return 0;
}

int
command_dump(const struct command_call *call, json_t **ret, struct error *error)
{
	CLEANUP(supervisor_dump_free) struct supervisor_dump *dump = NULL;
	struct supervisor *supervisor = server_supervisor(call->context->server);
	const char *format = command_string(call, "format");
	/* Text is for people and is made by mtlsctl from the reply; the other formats are written here. */
	bool writes = call->output >= 0 && strcmp(format, "text") != 0;
	/* What is kept is kept whole. */
	bool limited = json_object_get(call->arguments, "top") || strcmp(format, "text") != 0;
	bool compares = json_object_get(call->arguments, "base"), peak = command_flag(call, "peak");
	uint64_t top = limited ? command_number(call, "top") : DUMP_TOP;
	json_t *counters = NULL, *words = NULL, *reply;
	struct supervisor_plugin plugin;
	struct error why = {0};
	int r = command_plugin(call, &plugin, error);

	if (r == 0)
		r = dump_check(call, error);
	if (r < 0)
		return r;
	r = peak ? supervisor_dump_peak(supervisor, plugin.name, &dump, &why)
		 : supervisor_dump(supervisor, plugin.name, (uint32_t) command_number(call, "min_age"), &dump, &why);
	if (r < 0)
		return error_set(error, r == -ENOENT ? -EIO : r, "%s", why.code ? why.text : strerror(-r));
	(void) supervisor_words(supervisor, plugin.name, &counters, &words, NULL);
	json_decref(counters);
	reply = format_json(dump, words, compares ? 0 : top, command_flag(call, "callers"));
	if (!reply)
		return error_set(error, -ENOMEM, "out of memory");
	if (peak) {
		json_object_set_new(reply, "taken", json_integer((json_int_t) dump->taken));
		json_object_del(reply, "escaped_bytes"); /* a count of now */
	}
	if (command_number(call, "min_age") != 0)
		json_object_set_new(reply, "min_age", json_integer((json_int_t) command_number(call, "min_age")));
	if (compares)
		r = dump_compare(call, top, reply, error);
	if (r == 0 && writes)
		r = dump_write(call, dump, &reply, error);
	if (r < 0) {
		json_decref(reply);
		return r;
	}
	return command_reply(reply, ret, error);
}

/* clang-format off */
static const struct command_column dump_header_columns[] = {
	{"plugin", "plugin", "text"},
	{"instance", "instance", "text"},
	{"live", "live_bytes", "size"},
	{"resident", "resident_bytes", "size"},
	{"limit", "hard_limit", "limit"},
	{"foreign", "foreign_bytes", "size"},
	{"escaped", "escaped_bytes", "size"},
	{"request clock", "epoch", "count"},
	{"peak of", "taken", "time"},
	{"only from age", "min_age", "count"},
	{"base: instance", "base.instance", "text"},
	{"  live", "base.live_bytes", "size"},
	{"  request clock", "base.epoch", "count"},
	{"written", "written.bytes", "size"},
	{0},
};
static const struct command_column dump_change_columns[] = {
	{"CHANGE", "bytes_change", "size"},
	{"OBJECTS", "objects_change", "count"},
	{"NOW", "bytes", "size"},
	{"SCOPE", "scope", "text"},
	{"FUNCTION", "function", "name"},
	{"FILE:LINE", "place", "text"},
	{0},
};
static const struct command_column dump_site_columns[] = {
	{"BYTES", "bytes", "size"},
	{"OBJECTS", "objects", "count"},
	{"SCOPE", "scope", "text"},
	{"OLDEST", "oldest", "count"},
	{"YOUNGEST", "youngest", "count"},
	{"FUNCTION", "function", "name"},
	{"FILE:LINE", "place", "text"},
	{0},
};
static const struct command_column dump_other_columns[] = {
	{"other sites", "sites", "count"},
	{"bytes", "bytes", "size"},
	{"objects", "objects", "count"},
	{0},
};
static const struct command_column dump_caller_columns[] = {
	{"BYTES", "bytes", "size"},
	{"PERCENT", "percent", "count"},
	{"SITE", "site", "text"},
	{"CALLED FROM", "way", "name"},
	{"FILE:LINE", "place", "text"},
	{0},
};
static const struct command_column dump_age_columns[] = {
	{"AGE", "age", "text"},
	{"BYTES", "bytes", "size"},
	{"SHARE", "bytes", "bar"},
	{0},
};
const struct command_block command_dump_blocks[] = {
	{.key = "", .kind = COMMAND_FIELDS, .columns = dump_header_columns},
	{.key = "changes",
	 .kind = COMMAND_TABLE,
	 .title = "live blocks by call site, changes since the base",
	 .columns = dump_change_columns,
	 .empty = "nothing changed since the base"},
	{.key = "sites",
	 .kind = COMMAND_TABLE,
	 .title = "live blocks by call site, ages in requests",
	 .columns = dump_site_columns,
	 .empty = "no live block"},
	{.key = "others",
	 .kind = COMMAND_FIELDS,
	 .title = "not shown (--top 0 shows all)",
	 .columns = dump_other_columns},
	{.key = "callers",
	 .kind = COMMAND_TABLE,
	 .title = "callers of sites, by sampled stacks",
	 .columns = dump_caller_columns,
	 .empty = "no sample of a live block; see mtlsctl sampling"},
	{.key = "ages", .kind = COMMAND_TABLE, .title = "age of live bytes, in requests", .columns = dump_age_columns},
	{.key = "words", .kind = COMMAND_MAP, .title = "the plugin says"},
	{0},
};
/* clang-format on */
