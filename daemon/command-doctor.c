/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Gathers the facts, has them checked (doctor.h), and says what was found. */
#include "command.h"
#include "config.h"
#include "doctor.h"
#include "endpoint.h"
#include "event.h"
#include "explain.h"
#include "overseer.h"
#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DOCTOR_COLUMNS = 79, DOCTOR_INDENT = 9 };

/* --- a plugin -------------------------------------------------------------------------------------------- */

static void
gather_place(const struct command_call *call, const char *plugin, uintptr_t address, char ret[DOCTOR_PLACE])
{
	struct explain_place place;

	command_resolve(call, plugin, address, &place);
	snprintf(ret, DOCTOR_PLACE, place.function[0] && place.place[0] ? "%s (%s)" : "%s%s", place.function,
		 place.place);
}

static bool
ended_well(const struct supervisor_escape *escape)
{
	return escape->status_class == 2 || escape->status_class == 3;
}

static bool
leaks_when_well(const struct supervisor_escapes *escapes, uint32_t place)
{
	for (size_t i = 0; i < escapes->count; i++)
		if (escapes->rows[i].place == place && ended_well(&escapes->rows[i]))
			return true;
	return false;
}

/* The most that was left behind by requests that ended badly, where no other request leaves anything. */
static void
gather_escape(const struct command_call *call, const char *plugin, struct doctor_escape *ret)
{
	static const char *const classes[] = {"no answer", "1xx", "2xx", "3xx", "4xx", "5xx"};
	CLEANUP(supervisor_escapes_clear) struct supervisor_escapes escapes = {0};
	const struct supervisor_escape *worst = NULL;
	const struct supervisor_place *place;
	const char *route;
	json_t *text;

	if (supervisor_escapes(server_supervisor(call->context->server), plugin, &escapes, NULL) < 0)
		return;
	for (size_t i = 0; i < escapes.count; i++) {
		const struct supervisor_escape *e = &escapes.rows[i];

		if (!ended_well(e) && e->status_class < ARRAY_LENGTH(classes) && escapes.places[e->place].address &&
		    (!worst || e->bytes > worst->bytes) && !leaks_when_well(&escapes, e->place))
			worst = e;
	}
	if (!worst)
		return;
	place = &escapes.places[worst->place];
	route = server_route(call->context->server, worst->route);
	text = command_place(place->file, place->line, place->module, place->offset);
	*ret = (struct doctor_escape){
		.status = classes[worst->status_class], .bytes = worst->bytes, .requests = worst->requests};
	snprintf(ret->route, sizeof(ret->route), "%s", route ? route : "?");
	snprintf(ret->at, sizeof(ret->at), place->function[0] ? "%s (%s)" : "%s%s", place->function,
		 text ? json_string_value(text) : "?");
	json_decref(text);
}

/* The last sentence that said so. */
static void
gather_stop(const struct command_call *call, const char *plugin, char *ret, size_t size)
{
	json_t *history = command_history(call, plugin), *row;
	size_t i;

	snprintf(ret, size, "restarts for its leak took back too little and were stopped");
	json_array_foreach(history, i, row) {
		const char *event = json_string_value(json_object_get(row, "event"));
		const char *text = json_string_value(json_object_get(row, "text"));

		if (event && text && strcmp(event, event_row(EVENT_LOOP_STOPPED)->word) == 0)
			snprintf(ret, size, "%s", text);
	}
	json_decref(history);
}

static void
gather_plugin(const struct command_call *call, const struct config *config, const struct supervisor_plugin *plugin,
	      struct doctor_plugin *ret)
{
	size_t last = 0;

	*ret = (struct doctor_plugin){.plugin = *plugin};
	ret->watch = command_is_watched(config, plugin->name);
	ret->watched = command_view(call, plugin->name, &ret->view);
	ret->probe_allowed = command_probe_allowed(config, plugin->name);
	ret->can_probe = plugin->has_evict && ret->probe_allowed;
	if (ret->watched && ret->view.stopped)
		gather_stop(call, plugin->name, ret->stopped, sizeof(ret->stopped));
	if (plugin->own.refused > 0)
		gather_place(call, plugin->name, plugin->own.refused_site, ret->refused_at);
	for (size_t i = 1; i < ARRAY_LENGTH(plugin->fault_counts); i++)
		if (plugin->fault_counts[i] > plugin->fault_counts[last])
			last = i;
	if (plugin->faults > 0)
		gather_place(call, plugin->name, plugin->fault_sites[last], ret->fault_at);
	if (plugin->instance != 0)
		gather_escape(call, plugin->name, &ret->escape);
	(void) supervisor_nonces(server_supervisor(call->context->server), plugin->name, &ret->nonces);
}

/* --- the daemon ------------------------------------------------------------------------------------------ */

static uint64_t
read_number(const char *path)
{
	unsigned long long number = 0;
	FILE *file = fopen(path, "re");

	if (!file)
		return 0;
	/* "max" is no number. */
	if (fscanf(file, "%llu", &number) != 1)
		number = 0;
	(void) fclose(file);
	return number;
}

/* What the process may have: the machine's memory, or less where its control group says so. */
static uint64_t
gather_machine(void)
{
	uint64_t machine = (uint64_t) sysconf(_SC_PHYS_PAGES) * (uint64_t) sysconf(_SC_PAGESIZE), limit = 0;
	char line[512], path[600];
	FILE *file = fopen("/proc/self/cgroup", "re");

	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3) != 0)
			continue;
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", line + 3);
		limit = read_number(path);
	}
	if (file)
		(void) fclose(file);
	return limit > 0 && limit < machine ? limit : machine;
}

/* "credential:NAME", or a path into the folder that systemd filled. */
static bool
is_credential(const char *path)
{
	static const char scheme[] = "credential:";
	const char *folder = getenv("CREDENTIALS_DIRECTORY");

	if (!path)
		return false;
	return strncmp(path, scheme, sizeof(scheme) - 1) == 0 ||
	       (folder && *folder && strncmp(path, folder, strlen(folder)) == 0);
}

static void
gather_expiry(const struct tls_expiry *expiry, void *arg)
{
	struct doctor_daemon *daemon = arg;
	struct doctor_expiry *copy;

	if (daemon->expiry_count == DOCTOR_EXPIRIES)
		return;
	copy = &daemon->expiries[daemon->expiry_count++];
	*copy = (struct doctor_expiry){.what = expiry->what, .until = expiry->until > 0 ? (uint64_t) expiry->until : 0};
	snprintf(copy->set, sizeof(copy->set), "%s", expiry->set);
	snprintf(copy->name, sizeof(copy->name), "%s", expiry->name);
}

static void
gather_daemon(const struct command_call *call, const struct config *config, struct doctor_daemon *ret)
{
	*ret = (struct doctor_daemon){
		.now = (uint64_t) time(NULL),
		.heap_layer = MTLSD_HEAP_LAYER,
		.http_library = endpoint_library(),
		.machine_bytes = gather_machine(),
		.plugins = config->plugin_count,
	};
	for (size_t i = 0; i < config->plugin_count; i++)
		if (config->plugins[i].enabled)
			ret->hard_limits += config->plugins[i].memory_hard;
	tls_store_expiring(endpoint_tls(server_endpoint(call->context->server)), (time_t) ret->now, gather_expiry, ret);
	for (size_t i = 0; i < config->tls_count; i++)
		for (size_t k = 0; k < config->tls[i].certificate_count; k++)
			ret->credentials = ret->credentials ||
					   is_credential(config->tls[i].certificates[k].certificate) ||
					   is_credential(config->tls[i].certificates[k].key);
}

/* --- the report ------------------------------------------------------------------------------------------ */

/* Words in lines of at most DOCTOR_COLUMNS characters; those after the first are indented. */
static void
report_wrap(json_t *report, const char *text)
{
	char line[256];
	size_t length = 0, width = 0;
	bool is_empty = true;

	while (*text) {
		size_t word = strcspn(text, " "), characters = 0;

		for (size_t i = 0; i < word; i++)
			characters += ((unsigned char) text[i] & 0xc0) != 0x80;
		if (!is_empty && (width + 1 + characters > DOCTOR_COLUMNS || length + 1 + word >= sizeof(line))) {
			line[length] = '\0';
			json_array_append_new(report, command_text(line));
			memset(line, ' ', DOCTOR_INDENT);
			length = width = DOCTOR_INDENT;
			is_empty = true;
		} else if (!is_empty) {
			line[length++] = ' ';
			width++;
		}
		/* A word as long as that is no word; it may be cut. */
		for (size_t i = 0; i < word && length + 1 < sizeof(line); i++)
			line[length++] = text[i];
		width += characters;
		is_empty = false;
		text += word;
		text += *text == ' ';
	}
	line[length] = '\0';
	json_array_append_new(report, command_text(line));
}

/* What is the same of several plugins is said once. Returns how many findings that were. */
static size_t
report_finding(json_t *report, const struct doctor_finding *findings, size_t count)
{
	char text[1400], next[200];
	size_t same = 1;
	int length =
		snprintf(text, sizeof(text), "%-8s %s", doctor_severity_name(findings->severity), findings->plugin);

	for (; same < count && findings[same].plugin[0] && findings[same].check == findings->check &&
	       strcmp(findings[same].sentence, findings->sentence) == 0 &&
	       (size_t) length + sizeof(findings->sentence) + sizeof(findings->plugin) < sizeof(text);
	     same++)
		length += snprintf(text + length, sizeof(text) - (size_t) length, ", %s", findings[same].plugin);
	snprintf(text + length, sizeof(text) - (size_t) length, "%s%s", findings->plugin[0] ? ": " : "",
		 findings->sentence);
	report_wrap(report, text);
	for (size_t i = 0; i < same && findings[i].next[0]; i++) {
		snprintf(next, sizeof(next), "%*s-> %s", DOCTOR_INDENT, "", findings[i].next);
		json_array_append_new(report, command_text(next));
	}
	return same;
}

static json_t *
report_row(const struct doctor_finding *finding)
{
	return json_pack("{s:s, s:s, s:o*, s:o, s:s*}", "severity", doctor_severity_name(finding->severity), "check",
			 finding->check, "plugin", finding->plugin[0] ? command_text(finding->plugin) : NULL,
			 "sentence", command_text(finding->sentence), "next", finding->next[0] ? finding->next : NULL);
}

static json_t *
report_all(struct doctor_finding *findings, size_t count, size_t plugins)
{
	json_t *report = json_array(), *rows = json_array();
	bool leak = false, well = true;
	char text[160];

	doctor_sort(findings, count);
	for (size_t i = 0; i < count;)
		i += report_finding(report, &findings[i], count - i);
	for (size_t i = 0; i < count; i++) {
		json_array_append_new(rows, report_row(&findings[i]));
		leak = leak || findings[i].leak;
		well = well && findings[i].severity == DOCTOR_NOTE;
	}
	snprintf(text, sizeof(text), "nothing wrong: %zu plugin%s looked at, no leak, no failure, no limit near",
		 plugins, plugins == 1 ? "" : "s");
	if (well)
		json_array_append_new(report, json_string(text));
	return json_pack("{s:b, s:b, s:I, s:o, s:o}", "well", well, "leak", leak, "plugins", (json_int_t) plugins,
			 "findings", rows, "report", report);
}

int
command_doctor(const struct command_call *call, json_t **ret, struct error *error)
{
	CLEANUP(config_unref) struct config *config = server_config(call->context->server);
	struct supervisor *supervisor = server_supervisor(call->context->server);
	CLEANUP_FREE struct doctor_finding *findings = NULL;
	CLEANUP_FREE struct doctor_plugin *facts = calloc(1, sizeof(*facts));
	size_t capacity = (supervisor_count(supervisor) + 1) * DOCTOR_FINDINGS, count = 0, plugins = 0;
	struct supervisor_plugin plugin;
	bool one = command_string(call, "plugin") != NULL;
	int r = one ? command_plugin(call, &plugin, error) : 0;

	if (r < 0)
		return r;
	findings = calloc(capacity, sizeof(*findings));
	if (!findings || !facts)
		return error_set(error, -ENOMEM, "out of memory");
	/* A reload may lengthen the list while it is read. */
	for (size_t i = 0; count + 2 * DOCTOR_FINDINGS <= capacity; i++) {
		if (!one && supervisor_get(supervisor, i, &plugin) < 0)
			break;
		gather_plugin(call, config, &plugin, facts);
		count += doctor_check_plugin(facts, findings + count);
		plugins++;
		if (one)
			break;
	}
	if (!one) {
		struct doctor_daemon daemon;

		gather_daemon(call, config, &daemon);
		count += doctor_check_daemon(&daemon, findings + count);
	}
	return command_reply(report_all(findings, count, plugins), ret, error);
}

/* clang-format off */
const struct command_block command_doctor_blocks[] = {
	{.key = "report", .kind = COMMAND_LINES},
	{0},
};
/* clang-format on */
