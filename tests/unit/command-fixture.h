/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* command-fixture.h - commands run as the control socket would, with a fake server behind them.
 *
 * Threads: the test's. Owns: command_setup makes the fixture of a test, command_teardown releases it.
 */
#include "command.h"
#include "fake-server.h"

#include <systemd/sd-event.h>

struct fixture {
	sd_event *event;
	struct server *server;
	struct command_context context;
};

int command_setup(void **state);
int command_teardown(void **state);
/* Checks and runs a method with parameters as JSON text; the reply must be released. */
int run(struct fixture *f, const char *method, const char *parameters, json_t **ret, struct error *error);
/* The same with a descriptor passed. */
int run_output(struct fixture *f, const char *method, const char *parameters, int output, json_t **ret,
	       struct error *error);
/* The reply; fails the test if there is none. */
json_t *run_well(struct fixture *f, const char *method, const char *parameters);
/* Fails the test unless the command fails with that code and a sentence with that word. */
void run_badly(struct fixture *f, const char *method, const char *parameters, int code, const char *expected);
/* A member that must be there. */
json_int_t number(const json_t *object, const char *key);
const char *word(const json_t *object, const char *key);
