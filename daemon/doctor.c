/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor.h"

#include "cleanup.h"
#include "units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Thresholds an operator would draw himself; none of them acts. */
enum {
	DOCTOR_LIMIT_BAD = 90, /* percent of the hard limit */
	DOCTOR_MIB = 1 << 20,
	DOCTOR_FRAGMENTED = 3,              /* resident bytes for each live one */
	DOCTOR_FRAGMENTED_BYTES = 16 << 20, /* and at least so many more */
	DOCTOR_ESCAPED = 1024,              /* bytes left behind on error paths that are worth a word */
	DOCTOR_HOUR = 3600,
	DOCTOR_DAY = 86400,
};

struct words {
	char a[32], b[32];
};

static const char *
size_a(struct words *words, uint64_t bytes)
{
	return units_format_size(bytes, words->a, sizeof(words->a));
}

static const char *
size_b(struct words *words, uint64_t bytes)
{
	return units_format_size(bytes, words->b, sizeof(words->b));
}

static bool PRINTF_LIKE(3, 4)
	found(struct doctor_finding *finding, enum doctor_severity severity, const char *format, ...)
{
	va_list arguments;

	finding->severity = severity;
	va_start(arguments, format);
	vsnprintf(finding->sentence, sizeof(finding->sentence), format, arguments);
	va_end(arguments);
	return true;
}

static const char *
plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static uint64_t
percent(uint64_t part, uint64_t whole)
{
	return whole > 0 ? (uint64_t) ((double) part * 100 / (double) whole) : 0;
}

/* --- leaks ----------------------------------------------------------------------------------------------- */

static enum verdict_outcome
outcome(const struct doctor_plugin *p)
{
	return p->watched && p->view.instance > 0 ? p->view.verdict.outcome : VERDICT_WARMING;
}

static bool
is_leak(const struct doctor_plugin *p)
{
	enum verdict_class class = p->view.verdict.class;

	return class == VERDICT_LEAK || class == VERDICT_NONE || class == VERDICT_GROWING_BUFFER;
}

static bool
check_confirmed(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	if (outcome(p) != VERDICT_CONFIRMED || !is_leak(p))
		return false;
	finding->leak = true;
	return found(finding, DOCTOR_BAD, "%s%s%s", p->view.sentence, p->view.next[0] ? "; next: " : "", p->view.next);
}

/* Without a probe that could tell, likely is as sure as it gets. */
static bool
check_likely(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	if (outcome(p) != VERDICT_LIKELY || !is_leak(p))
		return false;
	finding->leak = !p->can_probe;
	return found(finding, finding->leak ? DOCTOR_BAD : DOCTOR_WARNING, "%s; %s", p->view.sentence,
		     p->can_probe           ? "a probe will tell it from a cache"
		     : !p->plugin.has_evict ? "no probe can tell it from a cache that fills: it has no evict hook"
					    : "no probe can tell it from a cache that fills: none is allowed "
					      "(memory.leak.probe.allow)");
}

static bool
check_suspect(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	if (outcome(p) != VERDICT_SUSPECT || !is_leak(p))
		return false;
	return found(finding, DOCTOR_WARNING, "%s", p->view.sentence);
}

/* It grows, and it is no leak. */
static bool
check_growth(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	if (outcome(p) < VERDICT_OK || is_leak(p))
		return false;
	return found(finding, p->view.verdict.class == VERDICT_CACHE_GROWTH ? DOCTOR_NOTE : DOCTOR_WARNING, "%s",
		     p->view.sentence);
}

static bool
check_stopped(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	return p->stopped[0] && found(finding, DOCTOR_BAD, "%s", p->stopped);
}

/* What libraries keep outlives every instance. */
static bool
check_foreign(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	const struct verdict *verdict = &p->view.verdict;
	uint64_t foreign = p->plugin.foreign.live_bytes;
	struct words words;

	if (outcome(p) >= VERDICT_SUSPECT && is_leak(p) && verdict->site_count > 0 && verdict->sites[0].foreign)
		return found(finding, DOCTOR_BAD,
			     "what grows are %s that libraries hold on its behalf: a restart does not give them back",
			     size_a(&words, foreign));
	if (foreign < 8 * DOCTOR_MIB || foreign < p->plugin.own.live_bytes)
		return false;
	return found(finding, DOCTOR_WARNING,
		     "libraries hold %s on its behalf, more than the %s it holds itself; a restart does not give them "
		     "back",
		     size_a(&words, foreign), size_b(&words, p->plugin.own.live_bytes));
}

static bool
check_error_escapes(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	const struct doctor_escape *e = &p->escape;
	struct words words;

	if (e->bytes < DOCTOR_ESCAPED || e->requests == 0)
		return false;
	return found(finding, DOCTOR_WARNING,
		     "requests of route %s that end with %s leave %s each at %s, %s so far; those that end well leave "
		     "nothing there",
		     e->route, e->status, size_a(&words, e->bytes / e->requests), e->at, size_b(&words, e->bytes));
}

/* --- limits ---------------------------------------------------------------------------------------------- */

static bool
check_time_to_limit(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	double seconds = p->view.verdict.seconds_to_limit;
	char buffer[32];
	struct words words;

	if (outcome(p) < VERDICT_SUSPECT || seconds < 0 || seconds > DOCTOR_DAY)
		return false;
	return found(finding, seconds < DOCTOR_HOUR ? DOCTOR_BAD : DOCTOR_WARNING,
		     "it reaches its hard limit of %s in %s at this rate; then its allocations fail",
		     size_a(&words, p->plugin.hard_limit),
		     units_format_duration((uint64_t) (seconds * 1e6), buffer, sizeof(buffer)));
}

static bool
check_limit(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	uint64_t live = p->plugin.own.live_bytes, hard = p->plugin.hard_limit, soft = p->plugin.soft_limit;
	struct words words;

	if (hard > 0 && percent(live, hard) >= DOCTOR_LIMIT_BAD)
		return found(finding, DOCTOR_BAD, "it holds %s, %" PRIu64 " %% of its hard limit of %s",
			     size_a(&words, live), percent(live, hard), size_b(&words, hard));
	if (soft > 0 && live > soft)
		return found(finding, DOCTOR_WARNING, "it holds %s, more than its soft limit of %s",
			     size_a(&words, live), size_b(&words, soft));
	return false;
}

static bool
check_refused(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	uint64_t refused = p->plugin.own.refused;
	struct words words;

	if (refused == 0)
		return false;
	return found(finding, DOCTOR_BAD,
		     "%" PRIu64 " allocation%s got NULL at its hard limit of %s, the last one of %s", refused,
		     plural(refused), size_a(&words, p->plugin.hard_limit),
		     p->refused_at[0] ? p->refused_at : "a place without a name");
}

static bool
check_fragmentation(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	uint64_t live = p->plugin.own.live_bytes, resident = p->plugin.own.resident_bytes;
	struct words words;

	if (resident < live + DOCTOR_FRAGMENTED_BYTES || resident / DOCTOR_FRAGMENTED < live)
		return false;
	return found(finding, DOCTOR_WARNING, "its heap takes %s of pages for %s of live blocks (fragmentation)",
		     size_a(&words, resident), size_b(&words, live));
}

/* --- service --------------------------------------------------------------------------------------------- */

static bool
check_failed(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	if (p->plugin.state != SUPERVISOR_FAILED)
		return false;
	return found(finding, DOCTOR_BAD, "it does not serve: %s%s%s",
		     p->plugin.last_error[0] ? p->plugin.last_error : "its last start failed",
		     p->watched && p->view.next[0] ? "; next: " : "", p->watched ? p->view.next : "");
}

/* Why requests get 503 though somebody could answer. */
static bool
check_breaker(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	static const struct {
		const char *state, *sentence;
	} rows[] = {
		{"open", "its breaker is open: requests get 503 without reaching it"},
		{"half-open", "its breaker is half-open: one request at a time tries whether it is well again, the "
			      "others get 503"},
		{"stopped", "it is so near its hard limit that nothing is admitted: requests get 503"},
	};

	for (size_t i = 0; p->watched && i < ARRAY_LENGTH(rows); i++)
		if (strcmp(p->view.breaker, rows[i].state) == 0)
			return found(finding, DOCTOR_BAD, "%s", rows[i].sentence);
	return false;
}

static bool
check_faults(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	if (p->plugin.faults == 0)
		return false;
	return found(finding, DOCTOR_BAD,
		     "it freed %" PRIu64 " time%s what is no live block (not done, but a bug that corrupts memory "
		     "elsewhere), the last time in %s",
		     p->plugin.faults, plural(p->plugin.faults),
		     p->fault_at[0] ? p->fault_at : "a place without a name");
}

static bool
check_zombies(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	if (p->plugin.zombies == 0)
		return false;
	return found(finding, DOCTOR_WARNING, "%u old instance%s could not be unloaded and keep%s memory: %s",
		     p->plugin.zombies, plural(p->plugin.zombies), p->plugin.zombies == 1 ? "s its" : " their",
		     p->plugin.last_error[0] ? p->plugin.last_error : "the reason is in the journal");
}

static bool
check_queue(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	if (p->plugin.refused_full == 0)
		return false;
	return found(finding, DOCTOR_WARNING, "%" PRIu64 " request%s of %" PRIu64 " got 503 because its queue was full",
		     p->plugin.refused_full, plural(p->plugin.refused_full),
		     p->plugin.requests + p->plugin.refused_full);
}

static bool
check_deadline(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	if (p->plugin.deadline_missed == 0)
		return false;
	return found(finding, DOCTOR_WARNING, "%" PRIu64 " of %" PRIu64 " requests missed its deadline and got 504",
		     p->plugin.deadline_missed, p->plugin.requests);
}

static bool
check_nonces(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	const struct nonces_report *nonces = &p->nonces;

	if (nonces->unwritten > 0)
		return found(finding, DOCTOR_BAD,
			     "%" PRIu64
			     " signed request%s refused because the nonce could not be written down; is the disk "
			     "of daemon.nonce_directory full?",
			     nonces->unwritten, nonces->unwritten == 1 ? " was" : "s were");
	if (nonces->full > 0)
		return found(finding, DOCTOR_BAD,
			     "%" PRIu64 " signed request%s refused because there was no room for the nonce; raise "
			     "nonces.capacity, which is %" PRId64,
			     nonces->full, nonces->full == 1 ? " was" : "s were", nonces->settings.capacity);
	if (nonces->open && nonces->remembered > (uint64_t) nonces->settings.capacity)
		return found(finding, DOCTOR_WARNING,
			     "it remembers %" PRIu64 " nonces, more than nonces.capacity, which is %" PRId64
			     "; raise it before requests are refused",
			     nonces->remembered, nonces->settings.capacity);
	return false;
}

static bool
check_disabled(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	if (p->plugin.state != SUPERVISOR_DISABLED)
		return false;
	return found(finding, DOCTOR_NOTE, "it is disabled: its requests get 503");
}

/* --- settings -------------------------------------------------------------------------------------------- */

static bool
serves(const struct doctor_plugin *p)
{
	return p->plugin.instance != 0;
}

static bool
check_no_hook(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	if (!serves(p) || p->plugin.has_evict)
		return false;
	return found(finding, DOCTOR_NOTE,
		     "no evict hook: nothing can be asked back, and a leak can be called likely, never confirmed");
}

static bool
check_no_probe(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	if (!serves(p) || !p->plugin.has_evict || p->probe_allowed)
		return false;
	return found(finding, DOCTOR_NOTE,
		     "not to be probed (memory.leak.probe.allow): a leak can be called likely, never confirmed");
}

static bool
check_not_watched(const struct doctor_plugin *p, struct doctor_finding *finding)
{
	if (!serves(p) || p->watch)
		return false;
	return found(finding, DOCTOR_NOTE, "not watched for leaks (memory.leak.watch)");
}

/* --- the daemon ------------------------------------------------------------------------------------------ */

static bool
check_heap_layer(const struct doctor_daemon *d, struct doctor_finding *finding)
{
	if (d->heap_layer)
		return false;
	return found(finding, DOCTOR_WARNING,
		     "this build has no heap layer: what plugins hold is neither counted nor bounded");
}

static const char *
expiry_word(const char *what)
{
	static const struct {
		const char *what, *word;
	} words[] = {
		{"certificate", "certificate"},
		{"client_ca", "client authority"},
		{"client_crl", "revocation list"},
		{"ocsp", "stapled OCSP answer"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
		if (strcmp(words[i].what, what) == 0)
			return words[i].word;
	return what;
}

/* The first to end speaks for all. */
static bool
check_expiry(const struct doctor_daemon *d, struct doctor_finding *finding)
{
	const struct doctor_expiry *first = NULL;
	char buffer[32], when[80], others[48] = "";
	uint64_t left;

	for (size_t i = 0; i < d->expiry_count; i++)
		if (!first || d->expiries[i].until < first->until)
			first = &d->expiries[i];
	if (!first)
		return false;
	left = first->until > d->now ? first->until - d->now : 0;
	if (left > 0)
		snprintf(when, sizeof(when), "expires in %s",
			 units_format_duration(left * 1000000, buffer, sizeof(buffer)));
	else
		snprintf(when, sizeof(when), "has expired");
	if (d->expiry_count > 1)
		snprintf(others, sizeof(others), "; %zu more end%s soon", d->expiry_count - 1,
			 d->expiry_count == 2 ? "s" : "");
	return found(finding, left < 7 * DOCTOR_DAY ? DOCTOR_BAD : DOCTOR_WARNING, "tls %s: its %s%s%s%s %s%s",
		     first->set, expiry_word(first->what), first->name[0] ? " (" : "", first->name,
		     first->name[0] ? ")" : "", when, others);
}

static bool
check_limits_sum(const struct doctor_daemon *d, struct doctor_finding *finding)
{
	struct words words;

	if (d->machine_bytes == 0 || d->hard_limits <= d->machine_bytes)
		return false;
	return found(finding, DOCTOR_NOTE,
		     "the hard limits of all plugins add up to %s; the process may have %s: memory may run out before "
		     "a limit is reached",
		     size_a(&words, d->hard_limits), size_b(&words, d->machine_bytes));
}

/* Up to three numbers of a version. */
static bool
is_older(const char *version, unsigned major, unsigned minor, unsigned patch)
{
	unsigned have[3] = {0}, want[3] = {major, minor, patch};

	if (sscanf(version, "%u.%u.%u", &have[0], &have[1], &have[2]) < 2)
		return false;
	for (size_t i = 0; i < 3; i++)
		if (have[i] != want[i])
			return have[i] < want[i];
	return false;
}

static bool
check_http_library(const struct doctor_daemon *d, struct doctor_finding *finding)
{
	if (!d->http_library || !is_older(d->http_library, 1, 0, 10))
		return false;
	return found(finding, DOCTOR_NOTE,
		     "libmicrohttpd is %s; before 1.0.10 it reads some requests in two ways (mtlsd refuses those "
		     "itself) and lacks fixes of out-of-bounds writes",
		     d->http_library);
}

static bool
check_credentials(const struct doctor_daemon *d, struct doctor_finding *finding)
{
	if (!d->credentials)
		return false;
	return found(finding, DOCTOR_NOTE,
		     "certificates or keys come from LoadCredential=, which systemd fills at start: a reload reads the "
		     "old ones again");
}

/* --- the table ------------------------------------------------------------------------------------------- */

/* One row a check: what it is called, what it looks at, what to run next (with the plugin's name behind it). The order
 * is that of what is equally bad. */
static const struct {
	const char *name;
	bool (*plugin)(const struct doctor_plugin *, struct doctor_finding *);
	bool (*daemon)(const struct doctor_daemon *, struct doctor_finding *);
	const char *next;
} checks[] = {
	{"leak", check_confirmed, NULL, "mtlsctl explain"},
	{"likely-leak", check_likely, NULL, "mtlsctl explain"},
	{"restarts-stopped", check_stopped, NULL, "mtlsctl dump"},
	{"failed", check_failed, NULL, "mtlsctl restart"},
	{"breaker", check_breaker, NULL, "mtlsctl show"},
	{"time-to-limit", check_time_to_limit, NULL, "mtlsctl restart"},
	{"limit", check_limit, NULL, "mtlsctl evict"},
	{"refused", check_refused, NULL, "mtlsctl dump"},
	{"bad-frees", check_faults, NULL, "mtlsctl show"},
	{"foreign", check_foreign, NULL, "mtlsctl dump"},
	{"expiry", NULL, check_expiry, "mtlsctl tls"},
	{"suspect", check_suspect, NULL, "mtlsctl explain"},
	{"growth", check_growth, NULL, "mtlsctl explain"},
	{"error-escapes", check_error_escapes, NULL, "mtlsctl escapes"},
	{"zombies", check_zombies, NULL, "mtlsctl show"},
	{"fragmentation", check_fragmentation, NULL, "mtlsctl evict"},
	{"queue", check_queue, NULL, "mtlsctl show"},
	{"deadline", check_deadline, NULL, "mtlsctl show"},
	{"nonces", check_nonces, NULL, "mtlsctl show"},
	{"heap-layer", NULL, check_heap_layer, ""},
	{"disabled", check_disabled, NULL, "mtlsctl enable"},
	{"not-watched", check_not_watched, NULL, ""},
	{"no-evict-hook", check_no_hook, NULL, ""},
	{"no-probe", check_no_probe, NULL, ""},
	{"limits-sum", NULL, check_limits_sum, "mtlsctl list"},
	{"http-library", NULL, check_http_library, ""},
	{"credentials", NULL, check_credentials, "systemctl restart mtlsd"},
};
_Static_assert(ARRAY_LENGTH(checks) <= DOCTOR_FINDINGS, "every check may find something");

static void
finding_begin(struct doctor_finding *finding, size_t check, const char *plugin)
{
	*finding = (struct doctor_finding){.check = checks[check].name};
	snprintf(finding->plugin, sizeof(finding->plugin), "%s", plugin);
	snprintf(finding->next, sizeof(finding->next), "%s%s%s", checks[check].next, *checks[check].next ? " " : "",
		 plugin);
	if (!*checks[check].next || !*plugin)
		snprintf(finding->next, sizeof(finding->next), "%s", checks[check].next);
}

size_t
doctor_check_plugin(const struct doctor_plugin *plugin, struct doctor_finding ret[DOCTOR_FINDINGS])
{
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(checks); i++) {
		finding_begin(&ret[count], i, plugin->plugin.name);
		if (checks[i].plugin && checks[i].plugin(plugin, &ret[count]))
			count++;
	}
	return count;
}

size_t
doctor_check_daemon(const struct doctor_daemon *daemon, struct doctor_finding ret[DOCTOR_FINDINGS])
{
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(checks); i++) {
		finding_begin(&ret[count], i, "");
		if (checks[i].daemon && checks[i].daemon(daemon, &ret[count]))
			count++;
	}
	return count;
}

const char *
doctor_check_name(size_t index)
{
	return index < ARRAY_LENGTH(checks) ? checks[index].name : NULL;
}

static size_t
doctor_place(const struct doctor_finding *finding)
{
	size_t i = 0;

	while (i < ARRAY_LENGTH(checks) && strcmp(checks[i].name, finding->check) != 0)
		i++;
	return i;
}

static int
doctor_compare(const void *left, const void *right)
{
	const struct doctor_finding *a = left, *b = right;
	size_t x = doctor_place(a), y = doctor_place(b);

	if (a->severity != b->severity)
		return a->severity > b->severity ? -1 : 1;
	if (x != y)
		return x < y ? -1 : 1;
	return strcmp(a->plugin, b->plugin);
}

void
doctor_sort(struct doctor_finding *findings, size_t count)
{
	qsort(findings, count, sizeof(*findings), doctor_compare);
}

const char *
doctor_severity_name(enum doctor_severity severity)
{
	static const char *const names[] = {"note", "warning", "bad"};

	return names[severity];
}
