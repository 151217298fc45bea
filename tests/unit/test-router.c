/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct config_rule everybody[] = {{.any = true}};

static const char *const no_names[] = {NULL};
static const char *const uris[] = {"spiffe://example.org/web", "spiffe://example.org/ns/db", NULL};
static const char *const dns[] = {"Web.Example.org", NULL};
static const char *const emails[] = {"Ann@example.org", NULL};

static const struct identity web = {
	.subject = "CN=web\\2C O=Fake,O=Real",
	.issuer = "CN=ca",
	.serial = "01",
	.spki_sha256 = "aa",
	.certificate_sha256 = "bb",
	.san = {uris, dns, emails, no_names},
	.purposes = no_names,
};

static char *get_items[] = {(char *) "GET", NULL};
static char *post_put_items[] = {(char *) "POST", (char *) "PUT", NULL};
static char *host_items[] = {(char *) "api.example.org", NULL};
static char *wild_items[] = {(char *) "*.example.org", NULL};

static const struct schema_strings get = {get_items, 1}, post_put = {post_put_items, 2};
static const struct schema_strings host = {host_items, 1}, wild = {wild_items, 1};

/* A router over the routes, numbered here. */
static struct router *
router_of(struct config_route *routes, size_t count)
{
	struct config config = {.routes = routes, .route_count = count};
	struct router *router = NULL;

	for (size_t i = 0; i < count; i++) {
		routes[i].index = (unsigned) i;
		if (routes[i].allow_count == 0 && !routes[i].allow) {
			routes[i].allow = everybody;
			routes[i].allow_count = 1;
		}
	}
	assert_int_equal(router_new(&config, &router), 0);
	return router;
}

/* Which route answers, or -outcome. */
static int
found(const struct router *router, const char *method, const char *name, const char *path)
{
	struct router_match match;

	memset(&match, 0xff, sizeof(match));
	router_match(router, method, name, path, &(struct access_peer){&web, NULL}, &match);
	if (match.outcome != ROUTER_METHOD)
		assert_string_equal(match.allow, "");
	assert_int_equal(match.route == NULL, match.outcome == ROUTER_NOT_FOUND);
	return match.outcome == ROUTER_OK ? (int) match.route->index : -(int) match.outcome;
}

static void
test_no_routes(void **state UNUSED)
{
	struct router *router = router_of(NULL, 0);

	assert_int_equal(found(router, "GET", NULL, "/"), -ROUTER_NOT_FOUND);
	router_free(&router);
	assert_null(router);
	router_free(&router);
	router_free(NULL);
}

static void
test_longest_path_wins(void **state UNUSED)
{
	struct config_route routes[] = {
		{.prefix = (char *) "/api"},      {.prefix = (char *) "/api/v1/"}, {.path = (char *) "/api/v1"},
		{.path = (char *) "/api/v1/one"}, {.path = (char *) "/"},          {.prefix = (char *) "/api/v1/one"},
	};
	static const struct {
		const char *path;
		int route;
	} expected[] = {
		{"/api", 0},
		{"/api/", 0},
		{"/api/x", 0},
		{"/apix", -ROUTER_NOT_FOUND},
		{"/ap", -ROUTER_NOT_FOUND},
		{"/api/v1", 2},
		{"/api/v1/", 1},
		{"/api/v1/two", 1},
		{"/api/v1x", 0},
		{"/api/v1/one", 3},
		{"/api/v1/one/", 5},
		{"/api/v1/one/more/deeper", 5},
		{"/", 4},
		{"/x", -ROUTER_NOT_FOUND},
		{"/API", -ROUTER_NOT_FOUND},
	};
	struct router *router = router_of(routes, ARRAY_LENGTH(routes));

	for (size_t i = 0; i < ARRAY_LENGTH(expected); i++)
		if (found(router, "GET", NULL, expected[i].path) != expected[i].route)
			fail_msg("%s: %d", expected[i].path, found(router, "GET", NULL, expected[i].path));
	router_free(&router);
}

static void
test_prefix_of_everything(void **state UNUSED)
{
	struct config_route routes[] = {{.prefix = (char *) "/"}, {.path = (char *) "/x"}};
	struct router *router = router_of(routes, 2);

	assert_int_equal(found(router, "GET", NULL, "/"), 0);
	assert_int_equal(found(router, "GET", NULL, "/y/z"), 0);
	assert_int_equal(found(router, "GET", NULL, "/x"), 1);
	router_free(&router);
}

static void
test_hosts(void **state UNUSED)
{
	struct config_route routes[] = {
		{.prefix = (char *) "/a"},
		{.prefix = (char *) "/a", .hosts = wild},
		{.prefix = (char *) "/a", .hosts = host}, /* never: the pattern before it matches first */
		{.prefix = (char *) "/a/b", .hosts = host},
		{.path = (char *) "/a/b", .hosts = host},
	};
	struct router *router = router_of(routes, ARRAY_LENGTH(routes));

	assert_int_equal(found(router, "GET", NULL, "/a"), 0);
	assert_int_equal(found(router, "GET", "other.org", "/a"), 0);
	assert_int_equal(found(router, "GET", "api.example.org", "/a"), 1);
	assert_int_equal(found(router, "GET", "x.y.example.org", "/a"), 0);
	/* a longer path for other hosts does not hide a shorter one for ours */
	assert_int_equal(found(router, "GET", "other.org", "/a/b/c"), 0);
	assert_int_equal(found(router, "GET", "other.org", "/a/b"), 0);
	assert_int_equal(found(router, "GET", "api.example.org", "/a/b/c"), 3);
	assert_int_equal(found(router, "GET", "api.example.org", "/a/b"), 4);
	router_free(&router);
}

static void
test_methods(void **state UNUSED)
{
	struct config_route routes[] = {
		{.path = (char *) "/m", .methods = get},
		{.path = (char *) "/m", .methods = post_put},
		{.prefix = (char *) "/"},
	};
	struct router *router = router_of(routes, ARRAY_LENGTH(routes));
	struct router_match match;

	assert_int_equal(found(router, "GET", NULL, "/m"), 0);
	assert_int_equal(found(router, "HEAD", NULL, "/m"), 0);
	assert_int_equal(found(router, "PUT", NULL, "/m"), 1);
	assert_int_equal(found(router, "DELETE", NULL, "/n"), 2);
	/* not the shorter path, whose rules are others */
	router_match(router, "DELETE", NULL, "/m", &(struct access_peer){&web, NULL}, &match);
	assert_int_equal(match.outcome, ROUTER_METHOD);
	assert_string_equal(match.allow, "GET, HEAD, POST, PUT");
	assert_ptr_equal(match.route, &routes[0]);
	assert_int_equal(found(router, "get", NULL, "/m"), -ROUTER_METHOD);
	router_free(&router);
}

static void
test_deny_by_default(void **state UNUSED)
{
	struct config_rule rules[] = {{.spki = (char *) "xx"}, {.spki = (char *) "aa"}};
	struct config_route routes[] = {
		{.path = (char *) "/no", .allow = rules, .allow_count = 1},
		{.path = (char *) "/yes", .allow = rules, .allow_count = 2},
		{.prefix = (char *) "/"},
	};
	struct router *router = router_of(routes, ARRAY_LENGTH(routes));
	struct router_match match;

	router_match(router, "GET", NULL, "/no", &(struct access_peer){&web, NULL}, &match);
	assert_int_equal(match.outcome, ROUTER_DENIED);
	assert_ptr_equal(match.route, &routes[0]);
	assert_null(match.rule);
	router_match(router, "GET", NULL, "/yes", &(struct access_peer){&web, NULL}, &match);
	assert_ptr_equal(match.rule, &rules[1]);
	assert_int_equal(found(router, "GET", NULL, "/yes"), 1);
	assert_int_equal(found(router, "GET", NULL, "/other"), 2);
	router_free(&router);
}

/* Enough routes for chains in the index; each must find itself and nothing else. */
static void
test_many_routes(void **state UNUSED)
{
	enum { COUNT = 4000 };
	static struct config_route routes[COUNT];
	static char paths[COUNT][32];
	struct router *router;

	for (int i = 0; i < COUNT; i++) {
		(void) snprintf(paths[i], sizeof(paths[i]), i % 2 ? "/r%d/sub" : "/r%d", i);
		routes[i] = i % 3 ? (struct config_route){.path = paths[i]} : (struct config_route){.prefix = paths[i]};
	}
	router = router_of(routes, COUNT);
	for (int i = 0; i < COUNT; i++) {
		char below[48];

		(void) snprintf(below, sizeof(below), "%s/x", paths[i]);
		assert_int_equal(found(router, "GET", NULL, paths[i]), i);
		assert_int_equal(found(router, "GET", NULL, below), i % 3 ? -ROUTER_NOT_FOUND : i);
	}
	router_free(&router);
	memset(routes, 0, sizeof(routes));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_routes),
		cmocka_unit_test(test_longest_path_wins),
		cmocka_unit_test(test_prefix_of_everything),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_deny_by_default),
		cmocka_unit_test(test_many_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
