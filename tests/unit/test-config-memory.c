/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-config-memory.c - each allocation of a configuration load fails once: nothing is lost, nothing half done. */
#include "cleanup.h"
#include "config.h"
#include "router.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
int
main(void)
{
	(void) fputs("skipped: sanitizers bring their own malloc\n", stderr);
	return 77;
}
#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

/* Counting is on between arm and disarm only: cmocka allocates too. */
static struct {
	bool is_on;
	size_t calls, fail_at, failed;
	ptrdiff_t live;
} counts;

static bool
is_refused(void)
{
	if (!counts.is_on || ++counts.calls != counts.fail_at)
		return false;
	counts.failed++;
	errno = ENOMEM;
	return true;
}

static void *
counted(void *p)
{
	counts.live += counts.is_on && p;
	return p;
}

void *
malloc(size_t size)
{
	return is_refused() ? NULL : counted(__libc_malloc(size));
}

void *
calloc(size_t count, size_t size)
{
	return is_refused() ? NULL : counted(__libc_calloc(count, size));
}

void *
realloc(void *p, size_t size)
{
	if (is_refused())
		return NULL;
	return p ? __libc_realloc(p, size) : counted(__libc_malloc(size));
}

void
free(void *p)
{
	counts.live -= counts.is_on && p;
	__libc_free(p);
}

static const char sound[] = "daemon: {run_directory: run}\n"
			    "tls: [{name: m, certificate: c, key: k, client_ca: a, client_crl: r}]\n"
			    "listeners: [{name: l, address: \"127.0.0.1:0\"}, {name: n, address: \"[::]:1\", tls: m}]\n"
			    "plugins: [{name: p, config: {a: [1, {b: c}]}}, {name: q, imports_allowed: [fork, exit]}]\n"
			    "routes:\n"
			    "- name: one\n"
			    "  prefix: /one\n"
			    "  allow: [{uri: \"spiffe://a/*\"}, {subject: 'CN=a\\,b', email: A@B}, {any: true}]\n"
			    "  methods: [GET, POST]\n"
			    "  hosts: [a.example.org]\n"
			    "  filters: [q]\n"
			    "  handler: p\n"
			    "- {name: two, path: /two, allow: [{any: yes}], handler: q}\n";
static const char mistaken[] = "daemon: {threads: x, log_level: inof}\n"
			       "plugin: 1\n"
			       "routes: [{name: a, path: b, allow: [{any: true, dns: '***'}], handler: c,\n"
			       "  methods: [GTE]}]\n"
			       "limits: [1]\n";
static const char malformed[] = "daemon:\n  threads: [1\n";

/* One load with the n-th allocation refused. Returns false once there is no n-th. */
static bool
load_once(const char *text, int result, size_t n)
{
	struct config *config = (void *) 1;
	struct router *router = NULL;
	char *mistakes = NULL;
	int r;

	memset(&counts, 0, sizeof(counts));
	counts.fail_at = n;
	counts.is_on = true;
	r = config_load_text("mem.yaml", text, strlen(text), &config, &mistakes);
	if (r == 0) {
		(void) router_new(config, &router);
		router_free(&router);
		config_unref(&config);
	}
	free(mistakes);
	counts.is_on = false;

	/* What can do without memory (sorting) gives the ordinary result. */
	if (r != result && (r != -ENOMEM || counts.failed == 0))
		fail_msg("allocation %zu refused: %d", n, r);
	assert_ptr_equal(config, r == 0 ? NULL : (void *) 1);
	if (counts.live != 0)
		fail_msg("allocation %zu refused: %td blocks lost", n, counts.live);
	return counts.failed > 0;
}

static void
load_each(const char *text, int result)
{
	size_t n = 1;

	while (load_once(text, result, n))
		n++;
	assert_in_range(n, 20, 100000);
}

static void
test_sound_file(void **state UNUSED)
{
	load_each(sound, 0);
}

static void
test_file_with_mistakes(void **state UNUSED)
{
	load_each(mistaken, -EINVAL);
}

static void
test_malformed_file(void **state UNUSED)
{
	load_each(malformed, -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound_file),
		cmocka_unit_test(test_file_with_mistakes),
		cmocka_unit_test(test_malformed_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
