/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "command-fixture.h"

#include "job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

int
command_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_true(sd_event_new(&f->event) >= 0);
	f->server = f->context.server = fake_server_new();
	assert_int_equal(job_queue_new(f->event, &f->context.jobs), 0);
	*state = f;
	return 0;
}

int
command_teardown(void **state)
{
	struct fixture *f = *state;

	job_queue_free(&f->context.jobs);
	fake_server_delete(&f->server);
	sd_event_unref(f->event);
	free(f);
	return 0;
}

/* Checks and runs a method with parameters as JSON text; the reply must be released. */
int
run_output(struct fixture *f, const char *method, const char *parameters, int output, json_t **ret, struct error *error)
{
	const struct command *command = command_find(method);
	json_t *given = json_loads(parameters, 0, NULL), *arguments = NULL;
	struct command_call call;
	const char *argument = NULL;
	int r;

	assert_non_null(command);
	assert_non_null(given);
	*ret = NULL;
	r = command_check(command, given, &arguments, &argument, error);
	if (r == 0) {
		call = (struct command_call){command, &f->context, arguments, output,
					     command_changes(command, arguments)};
		r = command->run(&call, ret, error);
	}
	json_decref(arguments);
	json_decref(given);
	return r;
}

int
run(struct fixture *f, const char *method, const char *parameters, json_t **ret, struct error *error)
{
	return run_output(f, method, parameters, -1, ret, error);
}

json_t *
run_well(struct fixture *f, const char *method, const char *parameters)
{
	struct error error = {0};
	json_t *reply;

	if (run(f, method, parameters, &reply, &error) < 0)
		fail_msg("%s %s: %s", method, parameters, error.text);
	assert_non_null(reply);
	return reply;
}

void
run_badly(struct fixture *f, const char *method, const char *parameters, int code, const char *expected)
{
	struct error error = {0};
	json_t *reply;
	int r = run(f, method, parameters, &reply, &error);

	if (r != code || !strstr(error.text, expected))
		fail_msg("%s %s: got %d \"%s\", wanted %d and \"%s\"", method, parameters, r, error.text, code,
			 expected);
	json_decref(reply);
}

json_int_t
number(const json_t *object, const char *key)
{
	assert_true(json_is_integer(json_object_get(object, key)));
	return json_integer_value(json_object_get(object, key));
}

const char *
word(const json_t *object, const char *key)
{
	assert_true(json_is_string(json_object_get(object, key)));
	return json_string_value(json_object_get(object, key));
}
