/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "replay.h"

#include "explain.h"
#include "record.h"
#include "render.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { REPLAY_MAX = 16 * 1024 * 1024 /* bytes; a record has some tens of KiB */ };

/* As mtlsctl's exit codes. */
enum { REPLAY_OK = 0, REPLAY_FAILED = 1, REPLAY_LEAK = 10 };

const struct command_argument replay_arguments[] = {
	{.name = "file",
	 .positional = true,
	 .required = true,
	 .metavar = "FILE",
	 .help = "as explain --record saved it"},
	{0},
};

static int
replay_complain(const char *file, const char *why)
{
	fprintf(stderr, "mtlsctl: %s: ", file);
	render_text(stderr, why);
	fputc('\n', stderr);
	return REPLAY_FAILED;
}

/* The whole file, to be freed. */
static int
replay_load(const char *file, char **ret, size_t *ret_length)
{
	FILE *in = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	CLEANUP_FREE char *text = NULL;
	size_t length = 0, n;
	int r = 0;

	if (!in)
		return -errno;
	text = malloc(REPLAY_MAX + 1);
	if (!text)
		r = -ENOMEM;
	while (r == 0 && length <= REPLAY_MAX && (n = fread(text + length, 1, REPLAY_MAX + 1 - length, in)) > 0)
		length += n;
	if (r == 0 && ferror(in))
		r = -EIO;
	if (r == 0 && length > REPLAY_MAX)
		r = -EFBIG;
	if (in != stdin)
		(void) fclose(in);
	if (r < 0)
		return r;
	*ret = STEAL(text);
	*ret_length = length;
	return 0;
}

/* Names are written as "function (/folder/file:line)"; what has another form is shown as it is. */
static void
replay_name(const struct record *record, const struct verdict_suspect *site, struct explain_place *ret)
{
	const char *name = record_site_name(record, site->site, site->foreign), *open, *from, *slash;
	size_t length;

	*ret = (struct explain_place){0};
	if (!name)
		return;
	length = strlen(name);
	open = strstr(name, " (");
	if (!open || name[length - 1] != ')') {
		snprintf(ret->place, sizeof(ret->place), "%s", name);
		return;
	}
	slash = strrchr(open, '/');
	from = slash ? slash + 1 : open + 2;
	snprintf(ret->function, sizeof(ret->function), "%.*s", (int) (open - name), name);
	snprintf(ret->place, sizeof(ret->place), "%.*s", (int) (name + length - 1 - from), from);
}

static json_t *
replay_judge(const struct record *record, bool *ret_leak)
{
	const struct verdict_input *input = record_input(record);
	struct explain_place places[VERDICT_SITES];
	struct verdict verdict;
	char sentence[400];
	struct explain_case subject = {
		.verdict = &verdict, .sentence = sentence, .probes = &input->probes, .places = places};
	json_t *reply;

	verdict_judge(input, &verdict);
	verdict_sentence(&verdict, sentence, sizeof(sentence));
	for (unsigned i = 0; i < verdict.site_count; i++)
		replay_name(record, &verdict.sites[i], &places[i]);
	*ret_leak = explain_is_leak(&verdict, input->has_evict);
	reply = explain_reply(&subject);
	if (reply)
		json_object_set_new(reply, "leak", json_boolean(*ret_leak));
	return reply;
}

int
replay_command(const json_t *arguments, const struct local_context *context)
{
	const struct command row = {.help = "", .blocks = explain_blocks};
	const char *file = json_string_value(json_object_get(arguments, "file"));
	struct render_style style = {
		.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"), .legend = context->legend, .now = time(NULL)};
	CLEANUP(record_free) struct record *record = NULL;
	CLEANUP_FREE char *text = NULL;
	struct error error = {0};
	json_t *reply, *description;
	size_t length = 0;
	bool leak = false;
	int r = replay_load(file, &text, &length);

	if (r < 0)
		return replay_complain(file, strerror(-r));
	if (record_read(text, length, &record, &error) < 0)
		return replay_complain(file, error.text);
	reply = replay_judge(record, &leak);
	description = command_describe(&row);
	if (reply && context->json) {
		(void) json_dumpf(reply, stdout, JSON_INDENT(2));
		fputc('\n', stdout);
	} else if (reply) {
		render_reply(stdout, json_object_get(description, "blocks"), reply, &style);
	}
	json_decref(description);
	if (!reply)
		return replay_complain(file, strerror(ENOMEM));
	json_decref(reply);
	if (fflush(stdout) != 0)
		return replay_complain("standard output", strerror(errno));
	return leak ? REPLAY_LEAK : REPLAY_OK;
}
