/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An overseer made of constants: "leak" is a confirmed leak with two sites and two tests, "cache" was judged and has
 * none. fake_server says what differs. */
#include "event.h"
#include "fake-server.h"
#include "overseer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct overseer *
server_overseer(struct server *server)
{
	return fake_server(server)->unwatched ? NULL : (struct overseer *) server;
}

static const struct verdict fake_leak = {
	.outcome = VERDICT_CONFIRMED,
	.class = VERDICT_LEAK,
	.axis = SIGNALS_REQUESTS,
	.separable = true,
	.rate = 16.23,
	.rate_low = 15.8,
	.rate_high = 16.6,
	.per_request = 16.23,
	.grown = 1346560,
	.window_requests = 82969,
	.seconds_to_limit = 11400,
	.scale = 3,
	.site_count = 2,
	.sites = {{.site = 41, .bytes = 1327104, .objects = 82944}, {.site = 7, .foreign = true, .bytes = 2048}},
	.site_rates = {16, 0.23},
	.test_count = 2,
	.tests = {{"mann-kendall s", "", 66, 50, ">=", true, true, 3},
		  {"growth", "bytes", 1346560, 32768.5, ">=", false}},
};

int
overseer_view(struct overseer *overseer, const char *plugin, struct overseer_view *ret)
{
	struct fake_server *fake = fake_server((struct server *) overseer);

	*ret = (struct overseer_view){.instance = 3, .judged = 2100, .probe = "idle", .breaker = "closed"};
	if (strcmp(plugin, "leak") == 0) {
		ret->stopped = fake->stopped;
		ret->verdict = fake_leak;
		if (fake->outcome)
			ret->verdict.outcome = fake->outcome;
		snprintf(ret->sentence, sizeof(ret->sentence),
			 "leaks 16.2 \xc2\xb1 0.4 bytes per request at spill (leak.c:41), 3h10min to its limit, "
			 "confirmed "
			 "by probe");
		snprintf(ret->next, sizeof(ret->next), "restart at a quiet moment");
		ret->probes = (struct verdict_probes){.done = 1,
						      .confirmed = true,
						      .residual_first = 262144,
						      .residual_second = 262400,
						      .interval_requests = 32768,
						      .objects_grown = 32768,
						      .rate = 16.01};
		return 0;
	}
	if (strcmp(plugin, "cache") != 0)
		return -ENOENT;
	ret->verdict = (struct verdict){.outcome = VERDICT_OK, .seconds_to_limit = -1};
	snprintf(ret->sentence, sizeof(ret->sentence), "no growth that lasts");
	return 0;
}

json_t *
overseer_history(struct overseer *overseer, const char *plugin)
{
	static const struct {
		int at;
		enum event_kind kind;
		const char *text;
	} rows[] = {
		{2010, EVENT_SUSPECT, "may leak 16 bytes per request"},
		{2050, EVENT_PROBE_BEGUN, "evict, serve, evict"},
		{2090, EVENT_PROBE_ENDED, "262144 bytes stayed, then 262400"},
		{2100, EVENT_CONFIRMED, "leaks 16.2 bytes per request"},
		{2110, EVENT_LOOP_STOPPED, "restarts took back too little"},
	};
	struct fake_server *fake = fake_server((struct server *) overseer);
	json_t *array = json_array();

	for (size_t i = 0; strcmp(plugin, "leak") == 0 && i < ARRAY_LENGTH(rows); i++)
		if (rows[i].kind != EVENT_LOOP_STOPPED || fake->stopped)
			json_array_append_new(array, json_pack("{s:i, s:s, s:s, s:i}", "at", rows[i].at, "event",
							       event_row(rows[i].kind)->word, "text", rows[i].text,
							       "instance", 3));
	return array;
}

int
overseer_record(struct overseer *overseer, const char *plugin, char **ret, size_t *ret_length)
{
	(void) overseer;
	if (strcmp(plugin, "leak") != 0)
		return -ENOENT;
	*ret = strdup("a record of leak\n");
	*ret_length = strlen("a record of leak\n");
	return *ret ? 0 : -ENOMEM;
}
