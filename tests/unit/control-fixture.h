/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* control-fixture.h - a control socket in a fresh folder with a fake server behind it, and clients on the same loop.
 *
 * Threads: the test's. Owns: control_setup makes the fixture of a test, control_teardown releases it.
 */
#include "control.h"
#include "fake-server.h"
#include "wire.h"

struct fixture {
	char folder[32], path[48], readonly_path[64];
	struct config_control config;
	sd_event *event;
	struct server *server;
	struct control *control;
};

/* One end of a connection. */
struct client {
	int fd;
	struct wire *wire;
};

extern const char show_leak[], status[], dump_leak[], restart_leak[]; /* calls */

/* Everything but the control, and that too. */
int control_setup(void **state);
int control_setup_started(void **state);
int control_teardown(void **state);
int control_start(struct fixture *f, struct error *error);

struct client make_client(const char *path);
void client_end(struct client *client);
/* Text with its NUL. */
void client_say(struct client *client, const char *text);
/* Turns the loop until a message is there. NULL: the daemon closed the connection. */
json_t *client_hear(struct fixture *f, struct client *client);
/* The string at a path of one or two keys, and the message's end. */
void expect_word(json_t *message, const char *first, const char *second, const char *expected);
/* A new client is answered. */
void expect_alive(struct fixture *f);
