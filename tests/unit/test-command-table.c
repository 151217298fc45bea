/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of commands against itself: rows, interface text, descriptions, arguments and replies say the same. */
#include "command-fixture.h"
#include "introspect.h"
#include "pki-fixture.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* --- Varlink types against JSON -------------------------------------------------------------------------- */

/* Checks a value against a type as an interface text writes it; returns what follows the type, NULL if it does not fit.
 * value NULL: only walks over the type. */
static const char *check_type(const char *type, const json_t *value);

static const char *
skip_blanks(const char *p)
{
	return p + strspn(p, " ");
}

static const char *
check_fields(const char *p, const json_t *object)
{
	size_t known = 0;

	if (object && !json_is_object(object))
		return NULL;
	for (p = skip_blanks(p); *p && *p != ')'; p = skip_blanks(p + (*p == ','))) {
		size_t length = strcspn(p, ":");
		char key[64];
		const json_t *value;
		bool optional;

		assert_true(length < sizeof(key));
		memcpy(key, p, length);
		key[length] = '\0';
		p = skip_blanks(p + length + 1);
		optional = *p == '?';
		value = object ? json_object_get(object, key) : NULL;
		known += value != NULL;
		if (object && !value && !optional) {
			print_error("the member %s is missing\n", key);
			return NULL;
		}
		p = check_type(p + optional, value);
		if (!p) {
			print_error("in %s\n", key);
			return NULL;
		}
	}
	if (object && known != json_object_size(object)) {
		CLEANUP_FREE char *text = json_dumps(object, JSON_COMPACT);

		print_error("members nobody announced in %s\n", text);
		return NULL;
	}
	return p;
}

static const char *
check_elements(const char *type, const json_t *value, bool map)
{
	const json_t *item;
	const char *key;
	size_t i;

	if (value && (map ? !json_is_object(value) : !json_is_array(value)))
		return NULL;
	if (value && map)
		json_object_foreach((json_t *) value, key, item) {
			if (!check_type(type, item))
				return NULL;
		}
	if (value && !map)
		json_array_foreach(value, i, item) {
			if (!check_type(type, item))
				return NULL;
		}
	return check_type(type, NULL);
}

static const char *
check_type(const char *type, const json_t *value)
{
	static const struct {
		const char *name;
		json_type type;
	} plain[] = {{"int", JSON_INTEGER}, {"string", JSON_STRING}, {"object", JSON_OBJECT}, {"float", JSON_REAL}};

	if (strncmp(type, "[]", 2) == 0)
		return check_elements(type + 2, value, false);
	if (strncmp(type, "[string]", 8) == 0)
		return check_elements(type + 8, value, true);
	if (*type == '(') {
		const char *end = check_fields(type + 1, value);

		return end && *end == ')' ? end + 1 : NULL;
	}
	if (strncmp(type, "bool", 4) == 0)
		return !value || json_is_boolean(value) ? type + 4 : NULL;
	for (size_t i = 0; i < ARRAY_LENGTH(plain); i++)
		if (strncmp(type, plain[i].name, strlen(plain[i].name)) == 0)
			return !value || json_typeof(value) == plain[i].type ? type + strlen(plain[i].name) : NULL;
	return NULL;
}

/* A self-signed certificate of web.example.org, as it stands in JSON. */
#define CERTIFICATE                                                                                                    \
	"-----BEGIN CERTIFICATE-----\\n"                                                                               \
	"MIIBjzCCATWgAwIBAgIUBiUu8/eRG6dcuykM8lAEi3rXbeowCgYIKoZIzj0EAwIw\\n"                                          \
	"DjEMMAoGA1UEAwwDd2ViMCAXDTI2MTEyMTE1MjM0M1oYDzIxMjYxMDI4MTUyMzQz\\n"                                          \
	"WjAOMQwwCgYDVQQDDAN3ZWIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATdja8M\\n"                                          \
	"aR5cmmvwJowz4ir0ZgPQF97cJTsJnU/wrdDAVLlU3msxSBrVk+xhhXUDBXliL3j0\\n"                                          \
	"TJna1KoK1ikUg9yjo28wbTAdBgNVHQ4EFgQUTG3upqYfSkaoKQvPC662cjAh750w\\n"                                          \
	"HwYDVR0jBBgwFoAUTG3upqYfSkaoKQvPC662cjAh750wDwYDVR0TAQH/BAUwAwEB\\n"                                          \
	"/zAaBgNVHREEEzARgg93ZWIuZXhhbXBsZS5vcmcwCgYIKoZIzj0EAwIDSAAwRQIh\\n"                                          \
	"ALe8CLlzLpvrdoyInjhrkcsbRfVRcLNnh31Ne/Q+1f3wAiBNRoNBOgrZRAdshylB\\n"                                          \
	"+yDTMiyDFbGY6iJtHOTa47Ws3w==\\n"                                                                              \
	"-----END CERTIFICATE-----\\n"

/* Parameters that make every command answer, one at least for each method. */
static const struct {
	const char *method, *parameters;
} samples[] = {
	{"Status", "{}"},
	{"List", "{}"},
	{"Show", "{\"plugin\":\"leak\"}"},
	{"Routes", "{}"},
	{"TestAccess", "{\"method\":\"GET\",\"url\":\"/leak/x\",\"cert\":\"" CERTIFICATE "\"}"},
	{"TestAccess", "{\"method\":\"PUT\",\"url\":\"https://a/leak?b\",\"cert\":\"" CERTIFICATE "\"}"},
	{"TestAccess", "{\"method\":\"GET\",\"url\":\"/\",\"from\":\"::1\",\"cert\":\"" CERTIFICATE "\"}"},
	{"Doctor", "{}"},
	{"Doctor", "{\"plugin\":\"cache\"}"},
	{"Explain", "{\"plugin\":\"leak\"}"},
	{"Explain", "{\"plugin\":\"cache\"}"},
	{"Dump", "{\"plugin\":\"leak\",\"peak\":true}"},
	{"Dump", "{\"plugin\":\"leak\",\"base\":{\"plugin\":\"leak\",\"sites\":[]}}"},
	{"Escapes", "{}"},
	{"Sampling", "{\"plugin\":\"leak\",\"interval\":4096}"},
	{"Sampling", "{\"plugin\":\"leak\",\"interval\":0,\"dry_run\":true}"},
	{"Dump", "{\"plugin\":\"leak\"}"},
	{"Dump", "{\"plugin\":\"leak\",\"top\":1,\"min_age\":7}"},
	{"Evict", "{\"plugin\":\"cache\"}"},
	{"Evict", "{\"plugin\":\"cache\",\"dry_run\":true}"},
	{"Restart", "{\"plugin\":\"leak\"}"},
	{"Restart", "{\"plugin\":\"leak\",\"dry_run\":true}"},
	{"Enable", "{\"plugin\":\"leak\"}"},
	{"Enable", "{\"plugin\":\"leak\",\"dry_run\":true}"},
	{"Disable", "{\"plugin\":\"leak\"}"},
	{"Disable", "{\"plugin\":\"leak\",\"dry_run\":true}"},
	{"Reload", "{}"},
	{"Reload", "{\"dry_run\":true}"},
	{"Reload", "{\"what\":\"tls\"}"},
	{"Reload", "{\"what\":\"tls\",\"dry_run\":true}"},
	{"Tls", "{}"},
	{"LogLevel", "{}"},
	{"LogLevel", "{\"level\":\"info\"}"},
	{"Jobs", "{}"},
	{"CheckConfig", "{\"contents\":\"fine\"}"},
	{"CheckConfig", "{\"contents\":\"wrong\"}"},
	{"Commands", "{}"},
};

/* With a tls set in force, so that there is something to show of one. */
static int
setup_with_tls(void **state)
{
	struct pki *pki = pki_new();
	int r = command_setup(state);

	pki_authority(pki, "ca", NULL, 300);
	pki_leaf(pki, "server", "ca", GNUTLS_PK_ECDSA, "localhost", PKI_SERVER, 5);
	pki_crl(pki, "ca.crl", "ca", NULL, 9);
	struct config_certificate certificate = {.certificate = (char *) pki_path(pki, "server.pem"),
						 .key = (char *) pki_path(pki, "server.key")};
	struct config_tls tls = {.name = (char *) "main",
				 .certificates = &certificate,
				 .certificate_count = 1,
				 .client_ca = (char *) pki_path(pki, "ca.pem"),
				 .client_crl = (char *) pki_path(pki, "ca.crl"),
				 .crl = CONFIG_CRL_REQUIRED,
				 .tickets = true,
				 .ticket_lifetime = 3600000000,
				 .ticket_rotation = 7200000000,
				 .warn_before = 10 * INT64_C(86400000000)};
	const struct config config = {.tls = &tls, .tls_count = 1};

	fake_server_tls(((struct fixture *) *state)->server, &config);
	pki_free(&pki);
	return r;
}

static void
test_replies_are_what_the_interface_says(void **state)
{
	for (const struct command *c = command_table; c->help; c++) {
		bool seen = false;

		for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
			json_t *reply;
			const char *end;

			if (strcmp(samples[i].method, c->method) != 0)
				continue;
			seen = true;
			reply = run_well(*state, c->method, samples[i].parameters);
			end = check_fields(c->reply, reply);
			if (!end || *end)
				fail_msg("%s %s: the reply is not as announced", c->method, samples[i].parameters);
			json_decref(reply);
		}
		if (!seen)
			fail_msg("%s has no sample here", c->method);
	}
}

/* --- the table ------------------------------------------------------------------------------------------- */

static void
test_rows_are_whole(void **state)
{
	(void) state;
	for (const struct command *c = command_table; c->help; c++) {
		const struct command_argument *argument;
		bool options = false;

		assert_non_null(c->method);
		assert_true(isupper((unsigned char) c->method[0]));
		assert_non_null(c->run);
		assert_non_null(c->reply);
		assert_true(*c->help && c->help[strlen(c->help) - 1] != '.');
		assert_ptr_equal(command_find(c->method), c);
		for (const struct command *other = command_table; other < c; other++)
			if (c->name && other->name)
				assert_string_not_equal(c->name, other->name);
		/* mtlsctl's commands are shown; what only programs call need not be. */
		assert_true(!c->name == !c->blocks);
		for (size_t i = 0; (argument = command_argument(c, i)); i++) {
			assert_true(islower((unsigned char) argument->name[0]));
			assert_null(strchr(argument->name, '-'));
			assert_true(*argument->help);
			assert_true((argument->type == COMMAND_CHOICE) == (argument->choices != NULL));
			assert_true(argument->max == 0 || argument->min <= argument->max);
			assert_false(argument->required && argument->fallback);
			/* By place first, then by name: the order help shows. */
			assert_false(options && argument->positional);
			options = options || !argument->positional;
		}
	}
}

static void
test_defaults_pass_their_own_check(void **state)
{
	(void) state;
	for (const struct command *c = command_table; c->help; c++) {
		const struct command_argument *argument;

		for (size_t i = 0; (argument = command_argument(c, i)); i++) {
			json_t *parameters = json_object(), *arguments = NULL;
			const char *bad;

			if (argument->fallback) {
				json_object_set_new(parameters, argument->name,
						    json_loads(argument->fallback, JSON_DECODE_ANY, NULL));
				if (command_argument(c, 0)->required)
					json_object_set_new(parameters, command_argument(c, 0)->name, json_string("x"));
				assert_int_equal(command_check(c, parameters, &arguments, &bad, NULL), 0);
			}
			json_decref(arguments);
			json_decref(parameters);
		}
	}
}

/* True if some sample's reply has the column's value. */
static bool
column_is_ever_there(struct fixture *f, const struct command *command, const struct command_block *block,
		     const struct command_column *column)
{
	for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
		json_t *reply;
		const json_t *value;
		char path[128], *save = NULL;
		bool there;

		if (strcmp(samples[i].method, command->method) != 0)
			continue;
		reply = run_well(f, command->method, samples[i].parameters);
		value = reply;
		snprintf(path, sizeof(path), "%s%s", block->key, block->kind == COMMAND_TABLE ? ".*" : "");
		if (column)
			snprintf(path + strlen(path), sizeof(path) - strlen(path), ".%s", column->key);
		for (char *part = strtok_r(path, ".", &save); part && value; part = strtok_r(NULL, ".", &save))
			value = strcmp(part, "*") == 0 ? json_array_get(value, 0) : json_object_get(value, part);
		there = value != NULL;
		json_decref(reply);
		if (there)
			return true;
	}
	return false;
}

/* What only some server's state or way of calling brings. */
static bool
column_is_rare(const struct command *command, const char *key)
{
	static const char *const rare[] = {"job", "last_error", "zombie_reason", "written.bytes", "staple"};

	for (size_t i = 0; i < ARRAY_LENGTH(rare); i++)
		if (strcmp(rare[i], key) == 0)
			return true;
	/* Columns enable and disable share. */
	return strcmp(command->method, "Enable") == 0 || strcmp(command->method, "Jobs") == 0;
}

static void
test_what_is_shown_is_in_the_reply(void **state)
{
	for (const struct command *c = command_table; c->help; c++)
		for (const struct command_block *b = c->blocks; b && b->key; b++) {
			if (b->kind == COMMAND_MAP || b->kind == COMMAND_LINES)
				assert_true(column_is_ever_there(*state, c, b, NULL));
			for (const struct command_column *k = b->columns; k && k->title; k++)
				if (!column_is_rare(c, k->key) && !column_is_ever_there(*state, c, b, k))
					fail_msg("%s shows %s.%s, which no reply has", c->method, b->key, k->key);
		}
}

static void
test_descriptions_carry_the_row(void **state)
{
	json_t *reply = run_well(*state, "Commands", "{}");
	const json_t *command, *argument;
	size_t i, j, described = 0, named = 0;
	bool found = false;

	for (const struct command *c = command_table; c->help; c++)
		named += c->name != NULL;
	json_array_foreach(json_object_get(reply, "commands"), i, command) {
		described++;
		assert_non_null(command_find(word(command, "method")));
		if (strcmp(word(command, "name"), "restart") != 0)
			continue;
		assert_string_equal(word(command, "privilege"), "change");
		assert_true(json_is_true(json_object_get(command, "slow")));
		json_array_foreach(json_object_get(command, "arguments"), j, argument) {
			if (strcmp(word(argument, "name"), "drain_timeout") == 0) {
				found = true;
				assert_string_equal(word(argument, "type"), "duration");
				assert_true(json_is_false(json_object_get(argument, "positional")));
			}
		}
		/* Those that every slow change has. */
		assert_int_equal(j, 6);
		argument = json_array_get(json_object_get(command, "arguments"), 4);
		assert_string_equal(word(argument, "name"), "dry_run");
		argument = json_array_get(json_object_get(command, "arguments"), 5);
		assert_string_equal(word(argument, "name"), "no_block");
	}
	assert_int_equal(described, named);
	assert_true(found);
	json_decref(reply);
}

/* --- introspection --------------------------------------------------------------------------------------- */

static void
test_the_interface_text_has_every_method(void **state)
{
	CLEANUP_FREE char *text = NULL;
	int depth = 0;

	(void) state;
	assert_int_equal(introspect_describe("io.mtlsd.Control", &text), 0);
	for (const struct command *c = command_table; c->help; c++) {
		char line[100];
		const char *method;

		snprintf(line, sizeof(line), "\nmethod %s(", c->method);
		method = strstr(text, line);
		assert_non_null(method);
		assert_null(strstr(method + 1, line));
		assert_non_null(strstr(text, c->help));
	}
	assert_non_null(strstr(text, "method Restart(plugin: string, if_instance: ?int, drain_timeout: ?int, "
				     "kept_image: ?bool, dry_run: ?bool, no_block: ?bool) -> ("));
	assert_non_null(strstr(text, "method LogLevel(level: ?(error, warning, notice, info, debug)) -> ("));
	assert_non_null(strstr(text, "\nerror NoSuchPlugin (message: string)\n"));
	for (const char *p = text; *p; p++) {
		if (*p == '#')
			p += strcspn(p, "\n");
		depth += (*p == '(') - (*p == ')');
		assert_true(depth >= 0);
		if (*p == '\n')
			assert_int_equal(depth, 0);
	}
}

static void
test_the_service_describes_itself(void **state)
{
	CLEANUP_FREE char *text = NULL;
	json_t *info = introspect_info();

	(void) state;
	assert_int_equal(introspect_describe("org.varlink.service", &text), 0);
	assert_non_null(strstr(text, "method GetInterfaceDescription("));
	free(STEAL(text));
	assert_int_equal(introspect_describe("io.mtlsd", &text), -ENOENT);
	assert_null(text);
	assert_string_equal(word(info, "product"), "mtlsd");
	assert_int_equal(json_array_size(json_object_get(info, "interfaces")), 2);
	json_decref(info);
}

/* --- arguments ------------------------------------------------------------------------------------------- */

static void
test_bad_arguments(void **state)
{
	static const struct {
		const char *method, *parameters, *argument, *word;
	} rows[] = {
		{"Status", "{\"x\":1}", "x", "no arguments"},
		{"Show", "{}", "plugin", "missing"},
		{"Show", "{\"plugin\":null}", "plugin", "missing"},
		{"Show", "{\"plugin\":7}", "plugin", "string"},
		{"Show", "{\"plugin\":\"\"}", "plugin", "empty"},
		{"Show", "{\"plugni\":\"leak\"}", "plugni", "did you mean \"plugin\""},
		{"Show", "{\"plugin\":\"leak\",\"dry_run\":true}", "dry_run", "unknown"},
		{"Evict", "{\"plugin\":\"leak\",\"level\":\"everything\"}", "level", "caches|state|replay"},
		{"Evict", "{\"plugin\":\"leak\",\"level\":\"\"}", "level", "one of"},
		{"Evict", "{\"plugin\":\"leak\",\"level\":\"state|replay\"}", "level", "one of"},
		{"Evict", "{\"plugin\":\"leak\",\"level\":\"cach\"}", "level", "one of"},
		{"Evict", "{\"plugin\":\"leak\",\"bytes\":\"64KiB\"}", "bytes", "whole number of bytes"},
		{"Evict", "{\"plugin\":\"leak\",\"bytes\":-1}", "bytes", "between 0"},
		{"Evict", "{\"plugin\":\"leak\",\"bytes\":1.5}", "bytes", "whole"},
		{"Evict", "{\"plugin\":\"leak\",\"dry_run\":1}", "dry_run", "true or false"},
		{"Restart", "{\"plugin\":\"leak\",\"if_instance\":0}", "if_instance", "between 1"},
		{"Restart", "{\"plugin\":\"leak\",\"drain_timeout\":86400000001}", "drain_timeout", "86400000000"},
		{"Dump", "{\"plugin\":\"leak\",\"min_age\":4294967296}", "min_age", "4294967295"},
		{"LogLevel", "{\"level\":\"loud\"}", "level", "error|warning"},
		{"LogLevel", "{\"level\":\"info\",\"dry_run\":true}", "dry_run", "unknown"},
	};
	char name[200];

	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		json_t *parameters = json_loads(rows[i].parameters, 0, NULL), *arguments = NULL;
		const char *argument = NULL;
		struct error error = {0};

		assert_int_equal(command_check(command_find(rows[i].method), parameters, &arguments, &argument, &error),
				 -EINVAL);
		assert_null(arguments);
		assert_string_equal(argument, rows[i].argument);
		if (!strstr(error.text, rows[i].word))
			fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].parameters, error.text, rows[i].word);
		json_decref(parameters);
	}
	snprintf(name, sizeof(name), "{\"plugin\":\"%0100d\"}", 0);
	run_badly(*state, "Show", name, -EINVAL, "longer than 64");
}

static void
test_good_arguments_get_defaults(void **state)
{
	const struct command *evict = command_find("Evict"), *level = command_find("LogLevel");
	json_t *parameters = json_pack("{s:s, s:n}", "plugin", "leak", "bytes"), *arguments = NULL;
	const char *argument = NULL;
	struct command_call call = {0};

	(void) state;
	assert_int_equal(command_check(evict, parameters, &arguments, &argument, NULL), 0);
	call.arguments = arguments;
	assert_string_equal(command_string(&call, "plugin"), "leak");
	assert_string_equal(command_string(&call, "level"), "caches");
	assert_int_equal(command_number(&call, "bytes"), 0);
	assert_false(command_flag(&call, "dry_run"));
	assert_null(command_string(&call, "nothing"));
	assert_true(command_changes(evict, arguments));
	json_decref(arguments);
	json_decref(parameters);

	parameters = json_object();
	assert_int_equal(command_check(level, parameters, &arguments, &argument, NULL), 0);
	assert_false(command_changes(level, arguments));
	json_decref(arguments);
	json_object_set_new(parameters, "level", json_string("debug"));
	assert_int_equal(command_check(level, parameters, &arguments, &argument, NULL), 0);
	assert_true(command_changes(level, arguments));
	assert_false(command_changes(command_find("Dump"), arguments));
	json_decref(arguments);
	json_decref(parameters);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_replies_are_what_the_interface_says, setup_with_tls,
						command_teardown),
		cmocka_unit_test(test_rows_are_whole),
		cmocka_unit_test(test_defaults_pass_their_own_check),
		cmocka_unit_test_setup_teardown(test_what_is_shown_is_in_the_reply, setup_with_tls, command_teardown),
		cmocka_unit_test_setup_teardown(test_descriptions_carry_the_row, command_setup, command_teardown),
		cmocka_unit_test(test_the_interface_text_has_every_method),
		cmocka_unit_test(test_the_service_describes_itself),
		cmocka_unit_test_setup_teardown(test_bad_arguments, command_setup, command_teardown),
		cmocka_unit_test(test_good_arguments_get_defaults),
	};

	return cmocka_run_group_tests_name("command-table", tests, NULL, NULL);
}
