/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A call's method and arguments, through their check, the command and its reply, on a fake server. */
#include "command.h"
#include "fake-server.h"
#include "job.h"
#include "log.h"
#include "wire.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct command_context context;

static void
prepare(void)
{
	sd_event *event = NULL;

	if (context.server)
		return;
	log_set_level(LOG_ERR);
	if (sd_event_new(&event) < 0 || job_queue_new(event, &context.jobs) < 0)
		abort();
	sd_event_unref(event);
	context.server = fake_server_new();
}

static void
run(const struct command *command, json_t *parameters)
{
	json_t *arguments = NULL, *reply = NULL;
	const char *argument = NULL;
	struct error error = {0};
	struct command_call call;

	if (command_check(command, parameters, &arguments, &argument, &error) < 0) {
		/* Whoever is refused is told where and why. */
		assert(argument && error.text[0] && !arguments);
		return;
	}
	call = (struct command_call){command, &context, arguments, -1, command_changes(command, arguments)};
	if (command->run(&call, &reply, &error) < 0)
		assert(error.text[0]);
	else
		assert(json_is_object(reply));
	json_decref(reply);
	json_decref(arguments);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(wire_call_clear) struct wire_call call = {0};
	const struct command *command;
	const char *dot;

	prepare();
	if (wire_call_parse((const char *) data, size, &call, NULL) < 0)
		return 0;
	dot = strrchr(call.method, '.');
	command = command_find(dot ? dot + 1 : call.method);
	/* An output needs a descriptor, which the caller takes care of. */
	if (command && !json_is_true(json_object_get(call.parameters, "output")))
		run(command, call.parameters);
	return 0;
}
