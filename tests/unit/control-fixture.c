/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control-fixture.h"

#include "log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

const char show_leak[] = "{\"method\":\"io.mtlsd.Control.Show\",\"parameters\":{\"plugin\":\"leak\"}}";
const char status[] = "{\"method\":\"io.mtlsd.Control.Status\"}";
const char dump_leak[] = "{\"method\":\"io.mtlsd.Control.Dump\",\"parameters\":{\"plugin\":\"leak\"}}";
const char restart_leak[] = "{\"method\":\"io.mtlsd.Control.Restart\",\"parameters\":{\"plugin\":\"leak\"}}";

int
control_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->folder, "/tmp/mtlsd-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/control.sock", f->folder);
	snprintf(f->readonly_path, sizeof(f->readonly_path), "%s/readonly.sock", f->folder);
	f->config = (struct config_control){
		.socket = f->path, .readonly_socket = f->readonly_path, .mode = 0600, .readonly_mode = 0644};
	/* The journal of changes is not what is looked at here. */
	log_set_level(LOG_ERR);
	assert_true(sd_event_new(&f->event) >= 0);
	f->server = fake_server_new();
	*state = f;
	return 0;
}

int
control_start(struct fixture *f, struct error *error)
{
	return control_new(f->event, &f->config, f->server, &f->control, error);
}

int
control_setup_started(void **state)
{
	control_setup(state);
	assert_int_equal(control_start(*state, NULL), 0);
	return 0;
}

int
control_teardown(void **state)
{
	struct fixture *f = *state;

	control_free(&f->control);
	fake_server_delete(&f->server);
	sd_event_unref(f->event);
	unlink(f->path);
	unlink(f->readonly_path);
	assert_int_equal(rmdir(f->folder), 0);
	free(f);
	return 0;
}

static int
try_connect(const char *path, struct client *client)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(client->fd >= 0);
	assert_int_equal(wire_new(WIRE_REPLY_MAX, WIRE_CALL_MAX, &client->wire), 0);
	return connect(client->fd, (struct sockaddr *) &address, sizeof(address)) < 0 ? -errno : 0;
}

struct client
make_client(const char *path)
{
	struct client client;

	assert_int_equal(try_connect(path, &client), 0);
	return client;
}

void
client_end(struct client *client)
{
	wire_free(&client->wire);
	close(client->fd);
}

static void
client_write(struct client *client, const char *bytes, size_t length)
{
	assert_int_equal(send(client->fd, bytes, length, MSG_NOSIGNAL), length);
}

/* Text with its NUL. */
void
client_say(struct client *client, const char *text)
{
	client_write(client, text, strlen(text) + 1);
}

/* Turns the loop until a message is there. NULL: the daemon closed the connection. */
json_t *
client_hear(struct fixture *f, struct client *client)
{
	const char *text;
	size_t length;

	while (wire_next(client->wire, &text, &length) == 0) {
		ssize_t n = wire_receive(client->wire, client->fd);

		if (n == 0 || n == -ECONNRESET)
			return NULL;
		if (n == -EAGAIN)
			assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
		else
			assert_true(n > 0);
	}
	return json_loadb(text, length, 0, NULL);
}

/* The string at a path of one or two keys, and the message's end. */
void
expect_word(json_t *message, const char *first, const char *second, const char *expected)
{
	const json_t *value = json_object_get(message, first);

	if (second)
		value = json_object_get(value, second);
	if (!json_is_string(value) || strcmp(json_string_value(value), expected) != 0) {
		CLEANUP_FREE char *text = json_dumps(message, JSON_COMPACT);

		fail_msg("%s: %s.%s is not \"%s\"", text ? text : "nothing", first, second ? second : "", expected);
	}
	json_decref(message);
}

void
expect_alive(struct fixture *f)
{
	struct client client = make_client(f->path);

	client_say(&client, status);
	expect_word(client_hear(f, &client), "parameters", "state", "running");
	client_end(&client);
}
