/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "secret.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[] = "/tmp/mtlsd-secret-XXXXXX";

static const char *
path_of(const char *name)
{
	static char paths[4][128];
	static unsigned turn;
	char *path = paths[turn++ % ARRAY_LENGTH(paths)];
	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void
put(const char *name, const void *data, size_t size, mode_t mode)
{
	FILE *file = fopen(path_of(name), "we");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	assert_int_equal(fchmod(fileno(file), mode), 0);
	assert_int_equal(fclose(file), 0);
}

static int
make_folder(void **state)
{
	(void) state;
	assert_non_null(mkdtemp(folder));
	put("key", "secret words", 12, 0600);
	put("open", "secret words", 12, 0640);
	put("empty", "", 0, 0600);
	return 0;
}

static int
drop_folder(void **state)
{
	static const char *const names[] = {"key", "open", "empty", "large", "pipe"};
	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		(void) unlink(path_of(names[i]));
	return rmdir(folder);
}

static void
must_fail(const char *name, bool private, int code, const char *words)
{
	struct secret secret = {.size = 77};
	struct error error = {0};
	assert_int_equal(secret_read(name, "key", private, &secret, &error), code);
	assert_int_equal(secret.size, 77);
	if (!strstr(error.text, words) || strstr(error.text, "secret words"))
		fail_msg("%s", error.text);
}

static void
test_read_and_cleared(void **state)
{
	struct secret secret = {0};
	(void) state;
	assert_int_equal(secret_read(path_of("key"), "key", true, &secret, NULL), 0);
	assert_int_equal(secret.size, 12);
	assert_memory_equal(secret.data, "secret words", 12);
	secret_clear(&secret);
	assert_null(secret.data);
	assert_int_equal(secret.size, 0);
	secret_clear(&secret);
}

static void
test_larger_than_first_thought(void **state)
{
	enum { SIZE = 300 * 1024 + 7 };
	CLEANUP_FREE unsigned char *bytes = malloc(SIZE);
	CLEANUP(secret_clear) struct secret secret = {0};
	(void) state;
	assert_non_null(bytes);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (unsigned char) (i * 7);
	put("large", bytes, SIZE, 0600);
	assert_int_equal(secret_read(path_of("large"), "key", false, &secret, NULL), 0);
	assert_int_equal(secret.size, SIZE);
	assert_memory_equal(secret.data, bytes, SIZE);
}

/* The kernel's word for it: "dd" among the flags of the mapping. */
static void
test_kept_out_of_core_dumps(void **state)
{
	CLEANUP(secret_clear) struct secret secret = {0};
	char line[512];
	bool inside = false, excluded = false;
	(void) state;
	assert_int_equal(secret_read(path_of("key"), "key", true, &secret, NULL), 0);
	FILE *maps = fopen("/proc/self/smaps", "re");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (unsigned long) secret.data >= from && (unsigned long) secret.data < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			excluded = strstr(line, " dd") != NULL;
	}
	(void) fclose(maps);
	assert_true(excluded);
}

static void
test_refused(void **state)
{
	(void) state;
	must_fail(path_of("nowhere"), false, -ENOENT, "No such file");
	must_fail(path_of("empty"), false, -ENODATA, "is empty");
	must_fail(path_of("open"), true, -EACCES, "chmod 600");
	must_fail(folder, false, -EISDIR, "Is a directory");
	/* A pipe nobody writes to stops nobody. */
	assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
	must_fail(path_of("pipe"), false, -ENODATA, "is empty");
	struct secret secret = {0};
	assert_int_equal(secret_read(path_of("open"), "certificate", false, &secret, NULL), 0);
	secret_clear(&secret);
}

static void
test_credentials(void **state)
{
	struct secret secret = {0};
	(void) state;
	unsetenv("CREDENTIALS_DIRECTORY");
	must_fail("credential:key", false, -ENOENT, "LoadCredential=key:FILE");
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	assert_int_equal(secret_read("credential:key", "key", true, &secret, NULL), 0);
	assert_int_equal(secret.size, 12);
	secret_clear(&secret);
	/* Its access lists show as bits of the group. */
	assert_int_equal(secret_read("credential:open", "key", true, &secret, NULL), 0);
	secret_clear(&secret);
	must_fail("credential:", false, -EINVAL, "credential:NAME");
	must_fail("credential:../key", false, -EINVAL, "credential:NAME");
	must_fail("credential:..", false, -EINVAL, "credential:NAME");
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void
test_tokens_are_no_files(void **state)
{
	(void) state;
	assert_true(secret_is_token("pkcs11:token=a;object=b"));
	assert_true(secret_is_token("tpmkey:uuid=1"));
	assert_false(secret_is_token("/etc/pkcs11:key"));
	assert_false(secret_is_token("credential:key"));
	assert_false(secret_is_token("pkcs11"));
	char shown[SECRET_SHOWN];
	assert_string_equal(secret_shown("pkcs11:token=a?pin-value=1234", shown), "pkcs11:token=a");
	assert_string_equal(secret_shown("/etc/key?x", shown), "/etc/key?x");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_and_cleared),
		cmocka_unit_test(test_larger_than_first_thought),
		cmocka_unit_test(test_kept_out_of_core_dumps),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_tokens_are_no_files),
	};
	return cmocka_run_group_tests_name("secret", tests, make_folder, drop_folder);
}
