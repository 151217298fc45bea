/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a message to the command it calls, or to the error it deserves. */
#include "caller-internal.h"
#include "event.h"
#include "introspect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Says so where a message could not be queued. */
static void
caller_queued(struct caller *caller, int result)
{
	/* Nothing is made for it: there may be no memory. */
	static const char poor[] =
		"{\"error\":\"io.mtlsd.Control.Failed\",\"parameters\":{\"message\":\"out of memory for "
		"the answer; what was asked for may be done: look before you ask again\"}}";

	if (result >= 0)
		return;
	if (result != -ENOBUFS) {
		if (wire_queue_text(caller->wire, poor) < 0)
			caller->closing = true;
		return;
	}
	json_t *message = wire_error("io.mtlsd.Control.Failed",
				     json_pack("{s:s}", "message",
					       "the reply is too large; ask for less (--top) or write it to a "
					       "file (--output)"));
	if (!message || wire_queue(caller->wire, message) < 0)
		caller->closing = true;
	json_decref(message);
}

void
caller_send(struct caller *caller, json_t *message)
{
	int r = message ? wire_queue(caller->wire, message) : -ENOMEM;

	json_decref(message);
	caller_queued(caller, r);
}

void
caller_send_text(struct caller *caller, int result, char *text, size_t length)
{
	caller_queued(caller, result < 0 ? result : wire_queue_written(caller->wire, text, length));
}

static void
caller_send_error(struct caller *caller, const struct wire_call *call, const char *name, const char *key,
		  const char *value, const char *message)
{
	json_t *parameters = json_object();

	if (call && call->oneway) {
		json_decref(parameters);
		return;
	}
	if ((key && json_object_set_new(parameters, key, command_text(value)) < 0) ||
	    (message && json_object_set_new(parameters, "message", command_text(message)) < 0)) {
		json_decref(parameters);
		caller_send(caller, NULL);
		return;
	}
	caller_send(caller, wire_error(name, parameters));
}

const char *
caller_error_name(int code)
{
	switch (code) {
	case -ENOENT:
		return "io.mtlsd.Control.NoSuchPlugin";
	case -EINVAL:
		return "io.mtlsd.Control.InvalidArgument";
	case -EPERM:
	case -EACCES:
		return "io.mtlsd.Control.PermissionDenied";
	case -EBUSY:
	case -EAGAIN:
		return "io.mtlsd.Control.Busy";
	case -ESTALE:
		return "io.mtlsd.Control.Stale";
	case -ETIMEDOUT:
		return "io.mtlsd.Control.TimedOut";
	default:
		return "io.mtlsd.Control.Failed";
	}
}

static void
caller_refuse_change(struct caller *caller, const struct wire_call *call, const struct command *command)
{
	char uid[24], pid[24];

	snprintf(uid, sizeof(uid), "%" PRIuMAX, (uintmax_t) caller->peer.uid);
	snprintf(pid, sizeof(pid), "%" PRIiMAX, (intmax_t) caller->peer.pid);
	if (!caller->denied)
		event_log(EVENT_CHANGE_DENIED,
			  LOG_FIELDS({"MTLSD_COMMAND", command->name}, {"MTLSD_UID", uid}, {"MTLSD_PID", pid}),
			  "%s was denied to uid %s, pid %s", command->name, uid, pid);
	caller->denied = true;
	caller_send_error(caller, call, caller_error_name(-EPERM), NULL, NULL,
			  caller->read_only
				  ? "this socket is for reading; use the daemon's main control socket"
				  : "changes need root, the daemon's user, or membership in control.admin_users "
				    "or control.admin_groups");
}

/* The descriptor that came with a call which says so. */
static int
caller_take_output(struct caller *caller, const struct command *command, const json_t *arguments, int *ret,
		   const char **ret_argument, struct error *error)
{
	const struct command_argument *argument;
	int fd = -1;

	for (size_t i = 0; (argument = command_argument(command, i)); i++) {
		if (argument->type != COMMAND_OUTPUT || !json_is_true(json_object_get(arguments, argument->name)))
			continue;
		fd = wire_take_descriptor(caller->wire);
		if (fd < 0) {
			*ret_argument = argument->name;
			return error_set(error, -EINVAL, "\"%s\" is true, but no descriptor came with the call",
					 argument->name);
		}
	}
	*ret = fd;
	return 0;
}

static void
caller_command(struct caller *caller, const struct wire_call *call, const struct command *command)
{
	const char *argument = NULL;
	json_t *arguments = NULL;
	struct error error = {0};
	int output = -1, r;

	r = command_check(command, call->parameters, &arguments, &argument, &error);
	if (r == 0 && command_changes(command, arguments) &&
	    (caller->read_only || !peer_may_change(&caller->peer, caller->service->rules))) {
		json_decref(arguments);
		caller_refuse_change(caller, call, command);
		return;
	}
	if (r == 0)
		r = caller_take_output(caller, command, arguments, &output, &argument, &error);
	if (r < 0) {
		caller_send_error(caller, call, caller_error_name(r), argument ? "parameter" : NULL, argument,
				  error.text);
		json_decref(arguments);
		return;
	}
	caller_run(caller, call, command, arguments, output);
}

/* org.varlink.service, which every service has. */
static void
caller_service_call(struct caller *caller, const struct wire_call *call, const char *method)
{
	const char *interface = json_string_value(json_object_get(call->parameters, "interface"));
	CLEANUP_FREE char *text = NULL;

	if (strcmp(method, "GetInfo") == 0) {
		if (!call->oneway)
			caller_send(caller, wire_reply(introspect_info(), false));
	} else if (strcmp(method, "GetInterfaceDescription") != 0) {
		caller_send_error(caller, call, "org.varlink.service.MethodNotFound", "method", call->method, NULL);
	} else if (!interface) {
		caller_send_error(caller, call, "org.varlink.service.InvalidParameter", "parameter", "interface", NULL);
	} else if (introspect_describe(interface, &text) < 0) {
		caller_send_error(caller, call, "org.varlink.service.InterfaceNotFound", "interface", interface, NULL);
	} else if (!call->oneway) {
		caller_send(caller, wire_reply(json_pack("{s:s}", "description", text), false));
	}
}

void
caller_handle(struct caller *caller, const char *text, size_t length)
{
	CLEANUP(wire_call_clear) struct wire_call call = {0};
	CLEANUP_FREE char *interface = NULL;
	const struct command *command;
	struct error error = {0};
	const char *dot;

	if (wire_call_parse(text, length, &call, &error) < 0) {
		/* What follows on this stream cannot be trusted to begin where it should. */
		caller_send_error(caller, NULL, caller_error_name(-EINVAL), NULL, NULL, error.text);
		caller->closing = true;
		return;
	}
	dot = strrchr(call.method, '.');
	interface = strndup(call.method, dot ? (size_t) (dot - call.method) : 0);
	if (!interface) {
		caller_send_error(caller, &call, caller_error_name(-ENOMEM), NULL, NULL, "out of memory");
	} else if (strcmp(interface, introspect_interface) == 0) {
		caller_service_call(caller, &call, dot + 1);
	} else if (strcmp(interface, command_interface) != 0) {
		caller_send_error(caller, &call, "org.varlink.service.InterfaceNotFound", "interface", interface, NULL);
	} else {
		command = command_find(dot + 1);
		if (command)
			caller_command(caller, &call, command);
		else
			caller_send_error(caller, &call, "org.varlink.service.MethodNotFound", "method", call.method,
					  NULL);
	}
}
