/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "top-command.h"

#include "client.h"
#include "monotonic.h"
#include "render.h"
#include "screen.h"
#include "top.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	TOP_INTERVAL = 2 * 1000 * 1000,
	TOP_INTERVAL_MIN = 100 * 1000,
	TOP_PATIENCE = 1000 * 1000, /* microseconds a daemon that hangs may keep a key waiting */
};

/* clang-format off */
const struct command_argument top_arguments[] = {
	{.name = "sort",
	 .type = COMMAND_CHOICE,
	 .choices = top_columns,
	 .fallback = "\"verdict\"",
	 .metavar = "COLUMN",
	 .help = "name, state, verdict, live, foreign, limit, requests, bytes (escaped, a request), inflight, errors,"
		 " left (to the limit), rss, restarts"},
	{.name = "reverse", .type = COMMAND_BOOL, .help = "the other way around"},
	{.name = "interval",
	 .type = COMMAND_DURATION,
	 .min = TOP_INTERVAL_MIN,
	 .max = INT64_C(3600) * 1000000,
	 .help = "between two readings (default 2s)"},
	{.name = "count", .type = COMMAND_INT, .min = 1, .max = INT_MAX, .help = "end after so many pictures"},
	{.name = "once", .type = COMMAND_BOOL, .help = "one picture, as --batch --count 1"},
	{.name = "batch",
	 .type = COMMAND_BOOL,
	 .help = "plain tables one after the other, as when the output is no terminal"},
	{0},
};
/* clang-format on */

/* As mtlsctl's exit codes. */
enum { TOP_OK = 0, TOP_FAILED = 1, TOP_UNREACHABLE = 3 };

struct top_run {
	const struct local_context *context;
	struct client *client;
	struct top *top;
	struct top_style style;
	uint64_t interval;
	int64_t count; /* pictures to show; 0: no end */
	struct error trouble;
};

static int
run_call(struct top_run *run, const char *method, uint64_t timeout, json_t **ret)
{
	CLEANUP(client_reply_clear) struct client_reply reply = {0};
	int r = client_call(run->client, method, NULL, false, -1, timeout, &reply);

	if (r == 0 && reply.error)
		r = -EBADMSG;
	if (r == 0)
		*ret = json_incref(reply.parameters);
	return r;
}

/* One reading; connects if there is no connection. A connection that failed once is not used again: a late reply would
 * answer the wrong call. */
static int
run_read(struct top_run *run, uint64_t timeout)
{
	json_t *status = NULL, *list = NULL;
	int r = run->client ? 0 : client_connect(run->context->socket, timeout, &run->client);

	if (r == 0)
		r = run_call(run, "io.mtlsd.Control.Status", timeout, &status);
	if (r == 0)
		r = run_call(run, "io.mtlsd.Control.List", timeout, &list);
	if (r == 0)
		top_feed(run->top, status, list);
	json_decref(status);
	json_decref(list);
	run->trouble = (struct error){0};
	if (r < 0) {
		client_free(&run->client);
		client_explain(run->context->socket, r, &run->trouble);
	}
	return r;
}

static int
run_complain(const char *text)
{
	fputs("mtlsctl: ", stderr);
	render_text(stderr, text);
	fputc('\n', stderr);
	return TOP_FAILED;
}

/* --- plain ----------------------------------------------------------------------------------------------- */

static void
run_print(struct top_run *run, bool first)
{
	if (run->context->json) {
		json_t *object = top_json(run->top, &run->style);

		(void) json_dumpf(object, stdout, JSON_COMPACT);
		fputc('\n', stdout);
		json_decref(object);
		return;
	}
	if (!first)
		fputc('\n', stdout);
	top_draw(run->top, stdout, &run->style);
}

static int
run_batch(struct top_run *run)
{
	uint64_t next = monotonic_now() + run->interval;

	/* Rates need two readings: the first one, taken before, is not shown. */
	for (int64_t shown = 0; run->count == 0 || shown < run->count; shown++) {
		for (uint64_t now = monotonic_now(); now < next; now = monotonic_now())
			(void) poll(NULL, 0, (int) ((next - now + 999) / 1000));
		next += run->interval;
		if (run_read(run, run->context->timeout) < 0) {
			run_complain(run->trouble.text);
			return TOP_UNREACHABLE;
		}
		run_print(run, shown == 0);
		if (fflush(stdout) != 0)
			return run_complain("the output could not be written whole");
	}
	return TOP_OK;
}

/* --- live ------------------------------------------------------------------------------------------------ */

static void
run_show(struct top_run *run, struct screen *screen)
{
	CLEANUP_FREE char *page = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&page, &size);

	if (!out)
		return;
	screen_size(screen, &run->style.columns, &run->style.lines);
	run->style.trouble = run->trouble.code ? run->trouble.text : NULL;
	top_draw(run->top, out, &run->style);
	if (fclose(out) == 0 && page)
		screen_show(screen, page);
}

static void
run_scroll(struct top_run *run, int64_t step)
{
	int64_t to = (int64_t) run->style.scroll + step, last = (int64_t) top_count(run->top) - 1;

	run->style.scroll = (size_t) (to > last ? (last > 0 ? last : 0) : to < 0 ? 0 : to);
}

/* Returns false if the key ends it. */
static bool
run_key(struct top_run *run, int key)
{
	size_t page = run->style.lines > TOP_HEAD ? run->style.lines - TOP_HEAD : 1;

	if (key == 'q' || key == 'Q' || key == SCREEN_END)
		return false;
	if (key == 'r')
		run->style.reverse = !run->style.reverse;
	else if (key == SCREEN_LEFT || key == SCREEN_RIGHT)
		run->style.sort = top_column_beside(run->style.sort, key == SCREEN_RIGHT ? 1 : -1);
	else if (key == SCREEN_UP || key == SCREEN_DOWN)
		run_scroll(run, key == SCREEN_DOWN ? 1 : -1);
	else if (key == SCREEN_PAGE_UP || key == SCREEN_PAGE_DOWN)
		run_scroll(run, key == SCREEN_PAGE_DOWN ? (int64_t) page : -(int64_t) page);
	else if (top_column_of_key(key) >= 0)
		run->style.sort = top_column_of_key(key);
	return true;
}

static int
run_live(struct top_run *run, struct screen *screen)
{
	uint64_t next = monotonic_now();
	int key;

	for (int64_t shown = 1;; shown++) {
		run_show(run, screen);
		if (run->count > 0 && shown >= run->count)
			return TOP_OK;
		next += run->interval;
		while ((key = screen_wait(screen, next)) != SCREEN_TIMEOUT) {
			if (!run_key(run, key))
				return TOP_OK;
			run_show(run, screen);
		}
		/* A daemon that is gone may come back; the last picture stays meanwhile, with the reason above it. */
		(void) run_read(run, run->context->timeout < TOP_PATIENCE ? run->context->timeout : TOP_PATIENCE);
		if (monotonic_now() > next + run->interval)
			next = monotonic_now();
	}
}

static int
run_start(struct top_run *run, bool batch)
{
	struct screen *screen = NULL;
	int code, number;

	if (run_read(run, run->context->timeout) < 0) {
		run_complain(run->trouble.text);
		return TOP_UNREACHABLE;
	}
	if (batch || screen_open(STDIN_FILENO, STDOUT_FILENO, &screen) < 0)
		return run_batch(run);
	run->style.colour = !getenv("NO_COLOR");
	run->style.keys = run->style.legend = true;
	code = run_live(run, screen);
	number = screen_close(&screen);
	if (number > 0) {
		(void) signal(number, SIG_DFL);
		(void) raise(number);
	}
	return code;
}

/* A column beyond 80 is for whoever has a terminal to show it. */
static size_t
run_columns(void)
{
	const char *columns = getenv("COLUMNS");
	long n = columns ? strtol(columns, NULL, 10) : 0;

	return n >= TOP_MIN_COLUMNS && n < 1000 ? (size_t) n : 80;
}

int
top_command(const json_t *arguments, const struct local_context *context)
{
	bool once = json_is_true(json_object_get(arguments, "once"));
	json_int_t interval = json_integer_value(json_object_get(arguments, "interval"));
	struct top_run run = {
		.context = context,
		.interval = interval > 0 ? (uint64_t) interval : TOP_INTERVAL,
		.count = once ? 1 : json_integer_value(json_object_get(arguments, "count")),
		.style = {.legend = context->legend,
			  .columns = run_columns(),
			  .sort = top_column(json_string_value(json_object_get(arguments, "sort"))),
			  .reverse = json_is_true(json_object_get(arguments, "reverse"))},
	};
	int code;

	if (top_new(&run.top) < 0)
		return run_complain("out of memory");
	code = run_start(&run, once || context->json || json_is_true(json_object_get(arguments, "batch")));
	client_free(&run.client);
	top_free(&run.top);
	return code;
}
