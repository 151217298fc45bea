/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control socket: its files, who may change what, what is bounded. */
#include "control-fixture.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

/* --- the files ------------------------------------------------------------------------------------------------- */

static void
test_sockets_have_their_modes_and_go_away(void **state)
{
	struct fixture *f = *state;
	struct stat file;

	assert_int_equal(stat(f->path, &file), 0);
	assert_int_equal(file.st_mode, S_IFSOCK | 0600);
	assert_int_equal(stat(f->readonly_path, &file), 0);
	assert_int_equal(file.st_mode, S_IFSOCK | 0644);
	expect_alive(f);
	control_free(&f->control);
	assert_null(f->control);
	assert_int_equal(access(f->path, F_OK), -1);
	assert_int_equal(access(f->readonly_path, F_OK), -1);
}

static void
test_a_stale_file_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
	assert_int_equal(bind(dead, (struct sockaddr *) &address, sizeof(address)), 0);
	close(dead);
	assert_int_equal(control_start(f, NULL), 0);
	expect_alive(f);
}

static void
test_other_files_and_live_sockets_are_left_alone(void **state)
{
	struct fixture *f = *state;
	struct fixture second = *f;
	struct error error = {0};
	int fd = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	close(fd);
	assert_int_equal(control_start(f, &error), -EEXIST);
	assert_non_null(strstr(error.text, f->path));
	assert_null(f->control);
	assert_int_equal(unlink(f->path), 0);

	assert_int_equal(control_start(f, NULL), 0);
	error = (struct error){0};
	assert_int_equal(control_start(&second, &error), -EADDRINUSE);
	assert_non_null(strstr(error.text, "another daemon"));
	/* The one that serves kept both of its files. */
	expect_alive(f);
	assert_int_equal(access(f->readonly_path, F_OK), 0);
}

static void
test_what_took_our_place_is_not_removed(void **state)
{
	struct fixture *f = *state;
	int fd;

	assert_int_equal(unlink(f->path), 0);
	fd = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	control_free(&f->control);
	assert_int_equal(access(f->path, F_OK), 0);
}

static void
test_bad_settings_name_themselves(void **state)
{
	struct fixture *f = *state;
	static char *nobody[] = {(char *) "no-such-name-here"};
	char long_path[200], gone[100];
	struct error error = {0};

	f->config.group = nobody[0];
	assert_int_equal(control_start(f, &error), -EINVAL);
	assert_non_null(strstr(error.text, "control.group"));
	f->config.group = NULL;
	error = (struct error){0};
	f->config.admin_users = (struct schema_strings){nobody, 1};
	assert_int_equal(control_start(f, &error), -EINVAL);
	assert_non_null(strstr(error.text, "admin_users"));
	f->config.admin_users.count = 0;
	error = (struct error){0};
	f->config.admin_groups = (struct schema_strings){nobody, 1};
	assert_int_equal(control_start(f, &error), -EINVAL);
	assert_non_null(strstr(error.text, "no-such-name-here"));
	f->config.admin_groups.count = 0;
	error = (struct error){0};
	snprintf(long_path, sizeof(long_path), "%s/%0150d", f->folder, 0);
	f->config.socket = long_path;
	assert_int_equal(control_start(f, &error), -ENAMETOOLONG);
	error = (struct error){0};
	snprintf(gone, sizeof(gone), "%s/nowhere/control.sock", f->folder);
	f->config.socket = gone;
	assert_int_equal(control_start(f, &error), -ENOENT);
	assert_non_null(strstr(error.text, "folder must exist"));
	/* Nothing half-made is left. */
	assert_int_equal(access(f->path, F_OK), -1);
	assert_null(f->control);
}

static void
test_reload_changes_modes_but_not_paths(void **state)
{
	struct fixture *f = *state;
	static char *nobody[] = {(char *) "no-such-name-here"};
	struct error error = {0};
	struct stat file;

	f->config.mode = 0640;
	assert_int_equal(control_reload(f->control, &f->config, &error), 0);
	assert_int_equal(stat(f->path, &file), 0);
	assert_int_equal(file.st_mode, S_IFSOCK | 0640);
	/* A bad name changes nothing. */
	f->config.mode = 0600;
	f->config.admin_groups = (struct schema_strings){nobody, 1};
	assert_int_equal(control_reload(f->control, &f->config, &error), -EINVAL);
	assert_int_equal(stat(f->path, &file), 0);
	assert_int_equal(file.st_mode, S_IFSOCK | 0640);
	f->config.admin_groups.count = 0;
	error = (struct error){0};
	f->config.readonly_socket = NULL;
	assert_int_equal(control_reload(f->control, &f->config, &error), -EINVAL);
	assert_non_null(strstr(error.text, "restart"));
	f->config.readonly_socket = f->readonly_path;
	expect_alive(f);
}

/* --- rights and bounds ------------------------------------------------------------------------------------------- */

static void
test_the_readonly_socket_changes_nothing(void **state)
{
	struct fixture *f = *state;
	static const char *const changes[] = {
		"{\"method\":\"io.mtlsd.Control.Restart\",\"parameters\":{\"plugin\":\"leak\"}}",
		"{\"method\":\"io.mtlsd.Control.Restart\",\"parameters\":{\"plugin\":\"leak\",\"dry_run\":true}}",
		"{\"method\":\"io.mtlsd.Control.Evict\",\"parameters\":{\"plugin\":\"leak\"}}",
		"{\"method\":\"io.mtlsd.Control.Enable\",\"parameters\":{\"plugin\":\"leak\"}}",
		"{\"method\":\"io.mtlsd.Control.Disable\",\"parameters\":{\"plugin\":\"leak\"}}",
		"{\"method\":\"io.mtlsd.Control.Reload\"}",
		"{\"method\":\"io.mtlsd.Control.LogLevel\",\"parameters\":{\"level\":\"debug\"}}",
	};
	struct fake_server *fake = fake_server(f->server);
	struct client client = make_client(f->readonly_path);
	int level = log_level();

	for (size_t i = 0; i < ARRAY_LENGTH(changes); i++) {
		client_say(&client, changes[i]);
		expect_word(client_hear(f, &client), "error", NULL, "io.mtlsd.Control.PermissionDenied");
	}
	assert_int_equal(fake->restarts + fake->evictions + fake->enables + fake->disables + fake->reloads, 0);
	assert_int_equal(log_level(), level);
	client_say(&client, dump_leak);
	expect_word(client_hear(f, &client), "parameters", "plugin", "leak");
	client_say(&client, "{\"method\":\"io.mtlsd.Control.LogLevel\"}");
	json_decref(client_hear(f, &client));
	client_end(&client);
}

static void
test_connections_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct client clients[80];
	int served = 0;

	/* In two waves, each below the backlog. */
	for (int i = 0; i < 80; i++) {
		clients[i] = make_client(f->path);
		client_say(&clients[i], status);
		if (i == 39)
			while (sd_event_run(f->event, 0) > 0)
				;
	}
	for (int i = 0; i < 80; i++) {
		json_t *reply = client_hear(f, &clients[i]);

		served += reply != NULL;
		json_decref(reply);
	}
	assert_int_equal(served, 64);
	for (int i = 0; i < 80; i++)
		client_end(&clients[i]);
	while (sd_event_run(f->event, 0) > 0)
		;
	expect_alive(f);
}

static size_t
count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void
test_descriptors_nobody_asked_for_are_closed(void **state)
{
	struct fixture *f = *state;
	struct client client = make_client(f->path);
	json_t *call = json_loads(status, 0, NULL);
	size_t before;

	client_say(&client, status);
	expect_word(client_hear(f, &client), "parameters", "state", "running");
	before = count_descriptors();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(wire_send_with_descriptor(client.wire, client.fd, call, client.fd), 0);
		expect_word(client_hear(f, &client), "parameters", "state", "running");
	}
	assert_int_equal(count_descriptors(), before);
	json_decref(call);
	client_end(&client);
}

static void
test_a_dump_goes_to_the_descriptor(void **state)
{
	struct fixture *f = *state;
	struct client client = make_client(f->path);
	json_t *call = json_loads("{\"method\":\"io.mtlsd.Control.Dump\",\"parameters\":{\"plugin\":\"leak\","
				  "\"format\":\"json\",\"output\":true}}",
				  0, NULL);
	FILE *file = tmpfile();
	json_t *written;

	assert_non_null(file);
	assert_int_equal(wire_send_with_descriptor(client.wire, client.fd, call, fileno(file)), 0);
	expect_word(client_hear(f, &client), "parameters", "plugin", "leak");
	rewind(file);
	written = json_loadf(file, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(written, "sites")), 2);
	json_decref(written);
	json_decref(call);
	fclose(file);
	client_end(&client);
}

static void
test_a_reply_too_large_says_so(void **state)
{
	struct fixture *f = *state;
	struct client client = make_client(f->path);

	fake_server(f->server)->sites = 150000;
	client_say(&client, "{\"method\":\"io.mtlsd.Control.Dump\",\"parameters\":{\"plugin\":\"leak\",\"top\":0}}");
	expect_word(client_hear(f, &client), "error", NULL, "io.mtlsd.Control.Failed");
	client_say(&client, dump_leak);
	expect_word(client_hear(f, &client), "parameters", "plugin", "leak");
	client_end(&client);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sockets_have_their_modes_and_go_away, control_setup_started,
						control_teardown),
		cmocka_unit_test_setup_teardown(test_a_stale_file_is_replaced, control_setup, control_teardown),
		cmocka_unit_test_setup_teardown(test_other_files_and_live_sockets_are_left_alone, control_setup,
						control_teardown),
		cmocka_unit_test_setup_teardown(test_what_took_our_place_is_not_removed, control_setup_started,
						control_teardown),
		cmocka_unit_test_setup_teardown(test_bad_settings_name_themselves, control_setup, control_teardown),
		cmocka_unit_test_setup_teardown(test_reload_changes_modes_but_not_paths, control_setup_started,
						control_teardown),
		cmocka_unit_test_setup_teardown(test_the_readonly_socket_changes_nothing, control_setup_started,
						control_teardown),
		cmocka_unit_test_setup_teardown(test_connections_are_bounded, control_setup_started, control_teardown),
		cmocka_unit_test_setup_teardown(test_descriptors_nobody_asked_for_are_closed, control_setup_started,
						control_teardown),
		cmocka_unit_test_setup_teardown(test_a_dump_goes_to_the_descriptor, control_setup_started,
						control_teardown),
		cmocka_unit_test_setup_teardown(test_a_reply_too_large_says_so, control_setup_started,
						control_teardown),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
