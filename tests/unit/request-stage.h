/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* request-stage.h - where requests are played without sockets, TLS or dlopen: a fake transport, fake instances and
 * heaps, real everything else. Two plugins, "front" (a filter) and "back" (a handler), and one route, /a/.
 *
 * Threads: the test's. Owns: what set_up made, until tear_down.
 */
#include "connection.h"
#include "exposure.h"
#include "fake-transport.h"
#include "host.h"
#include "plugin.h"
#include "request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

struct instance {
	mtlsd_plugin descriptor;
	struct pool *pool;
	struct exposure *exposure;
	struct instance_observer observer;
};

struct stage {
	struct instance front, back;
	struct plugin *plugins[2];
	struct config config;
	struct config_plugin config_plugins[2];
	struct config_rule rule;
	struct config_route route;
	const struct config_plugin *filters[1];
	struct identity identity;
	struct connection *connection;
	struct request_service *service;
	struct fake_transport wire;
};

extern struct stage *stage;
extern atomic_uint epoch;   /* of every booking */
extern unsigned last_class; /* of an answer that was booked */
/* What the handler's callbacks saw. */
extern atomic_int done_calls, cancel_calls, release_calls;
extern mtlsd_outcome last_outcome;
extern mtlsd_reason cancel_reason;
extern mtlsd_request *deferred; /* by whoever keeps one */

int set_up(void **state);
int tear_down(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* What the handler does unless a test says otherwise: 200, "hello". */
mtlsd_action hello(void *user, mtlsd_request *request);
void count_done(void *user, mtlsd_request *request, mtlsd_outcome outcome);
void count_cancel(void *user, mtlsd_request *request, mtlsd_reason reason);
void count_release(void *context);
const mtlsd_host *host(void);

struct request *begin(const char *method, const char *path, int64_t length, enum request_next *ret_next);
/* Of the handler's plugin. */
uint64_t counted(enum plugin_counter counter);
