/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config-check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/un.h>
#include <syslog.h>

enum { NEAREST_MAX = 256 };

static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c);
}

static bool
is_word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || is_one_of(c, "-_.");
}

const struct yaml_node *
config_place(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *node = yaml_get(map, key);

	return node ? node : map;
}

/* Names end up in file names, journal fields and tables. */
static void
name_check(struct schema_reader *reader, const struct yaml_node *node, const char *name)
{
	const char *p = name;

	if (!name)
		return;
	while (is_word_byte(*p))
		p++;
	if (*p != '\0' || is_one_of(*name, "-_."))
		(void) schema_mistake(
			reader, config_place(node, "name"),
			"\"%.64s\" is no name; write letters, digits, \"-\", \"_\" and \".\", first a letter or digit",
			name);
}

/* An entry of one of the four lists, for what they share. */
struct named {
	const char *name;
	const struct yaml_node *node;
};

static int
named_compare(const void *a, const void *b)
{
	const struct named *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	return order ? order : (left->node->line > right->node->line) - (left->node->line < right->node->line);
}

/* names is sorted here. */
static void
duplicates_check(struct schema_reader *reader, const char *kind, struct named *names, size_t count)
{
	qsort(names, count, sizeof(*names), named_compare);
	for (size_t i = 1; i < count; i++)
		if (strcmp(names[i - 1].name, names[i].name) == 0)
			(void) schema_mistake(reader, config_place(names[i].node, "name"),
					      "%s \"%s\" is there already (line %d); give this one another name", kind,
					      names[i].name, names[i - 1].node->line);
}

static_assert(offsetof(struct config_tls, name) == 0 && offsetof(struct config_listener, name) == 0 &&
		      offsetof(struct config_plugin, name) == 0 && offsetof(struct config_route, name) == 0,
	      "names_check takes the name for the first member");

/* Names of `count` items of `size` bytes whose first member is the name; nodes at node_offset. */
static int
names_check(struct schema_reader *reader, const char *kind, const void *items, size_t count, size_t size,
	    size_t node_offset)
{
	CLEANUP_FREE struct named *names = calloc(count + 1, sizeof(*names));
	size_t used = 0;

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const char *item = (const char *) items + i * size; /* suitably aligned for both */

		names[used].name = *(char *const *) item;
		names[used].node = *(const struct yaml_node *const *) (item + node_offset);
		name_check(reader, names[used].node, names[used].name);
		used += names[used].name != NULL;
	}
	duplicates_check(reader, kind, names, used);
	return 0;
}

static void
unknown_name(struct schema_reader *reader, const struct yaml_node *place, const char *kind, const char *name,
	     const char *const *known)
{
	const char *nearest = schema_nearest(name, known);

	if (nearest)
		(void) schema_mistake(reader, place, "unknown %s \"%.64s\"; did you mean \"%s\"?", kind, name, nearest);
	else if (known[0])
		(void) schema_mistake(reader, place, "unknown %s \"%.64s\"; known are \"%s\"%s", kind, name, known[0],
				      known[1] ? " and others" : "");
	else
		(void) schema_mistake(reader, place, "unknown %s \"%.64s\"; the file has none, add it", kind, name);
}

static bool
port_is_valid(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits <= 5 && text[digits] == '\0' && strtoul(text, NULL, 10) <= 65535;
}

/* Writes the host part of "host:port" or "[host]:port" and returns its family, or AF_UNSPEC. */
static int
address_split(const char *address, char *host, size_t size)
{
	bool is_bracketed = address[0] == '[';
	const char *start = address + is_bracketed;
	const char *end = strchr(start, is_bracketed ? ']' : ':');
	const char *colon = end && is_bracketed ? end + 1 : end;

	if (!end || *colon != ':' || !port_is_valid(colon + 1) || (size_t) (end - start) >= size)
		return AF_UNSPEC;
	memcpy(host, start, (size_t) (end - start));
	host[end - start] = '\0';
	return is_bracketed ? AF_INET6 : AF_INET;
}

static bool
address_is_valid(const char *address)
{
	static const char inherited[] = "inherited:";
	unsigned char binary[sizeof(struct in6_addr)];
	char host[INET6_ADDRSTRLEN];
	int family;

	if (strncmp(address, inherited, strlen(inherited)) == 0) {
		const char *p = address + strlen(inherited);

		while (is_word_byte(*p))
			p++;
		return *p == '\0' && p[-1] != ':';
	}
	family = address_split(address, host, sizeof(host));
	return family != AF_UNSPEC && inet_pton(family, host, binary) == 1;
}

/* Port 0 may stand there often: each takes a free one. */
static bool
is_same_address(const char *a, const char *b)
{
	size_t length = strlen(a);

	return strcmp(a, b) == 0 && (length < 2 || strcmp(a + length - 2, ":0") != 0);
}

static int
listeners_check(struct schema_reader *reader, struct config *config)
{
	const char *known[NEAREST_MAX + 1] = {NULL};

	for (size_t i = 0, used = 0; i < config->tls_count && used < NEAREST_MAX; i++)
		if (config->tls[i].name)
			known[used++] = config->tls[i].name;
	for (size_t i = 0; i < config->listener_count; i++) {
		struct config_listener *listener = &config->listeners[i];

		if (listener->address && !address_is_valid(listener->address))
			(void) schema_mistake(
				reader, config_place(listener->node, "address"),
				"address \"%.80s\" cannot be read; write \"192.0.2.1:8443\", \"[::]:8443\" or "
				"\"inherited:NAME\" (addresses in numbers, port 0 to 65535)",
				listener->address);
		for (size_t k = 0; k < i; k++)
			if (listener->address && config->listeners[k].address &&
			    is_same_address(config->listeners[k].address, listener->address))
				(void) schema_mistake(reader, config_place(listener->node, "address"),
						      "address %s is there already (line %d); use another port",
						      listener->address, config->listeners[k].node->line);
		if (!listener->tls && config->tls_count == 1 && known[0]) {
			listener->tls = strdup(known[0]);
			if (!listener->tls)
				return -ENOMEM;
		}
		for (size_t k = 0; listener->tls && k < config->tls_count; k++)
			if (config->tls[k].name && strcmp(config->tls[k].name, listener->tls) == 0)
				listener->tls_set = &config->tls[k];
		if (!listener->tls && config->tls_count > 1)
			(void) schema_mistake(
				reader, listener->node,
				"missing key \"tls\" in this listener; name one of the tls sets, there is more "
				"than one");
		if (listener->tls && !listener->tls_set)
			unknown_name(reader, config_place(listener->node, "tls"), "tls set", listener->tls, known);
	}
	if (config->listener_count == 0)
		(void) schema_mistake(
			reader, config_place(config->tree, "listeners"),
			"no listeners; add one: listeners: [{name: main, address: \"[::]:8443\", tls: NAME}]");
	if (config->tls_count == 0)
		(void) schema_mistake(
			reader, config_place(config->tree, "tls"),
			"no tls sets; add one: tls: [{name: main, certificate: FILE, key: FILE, client_ca: FILE}]");
	return 0;
}

static int
plugin_check(struct schema_reader *reader, const struct config *config, struct config_plugin *plugin)
{
	const struct yaml_node *memory = yaml_get(plugin->node, "memory");

	/* Whoever lowers the hard limit alone does not mean the soft one to stay above it. */
	if (plugin->memory_soft > plugin->memory_hard && !yaml_get(memory, "soft"))
		plugin->memory_soft = plugin->memory_hard / 4 * 3;
	if (plugin->memory_soft > plugin->memory_hard)
		(void) schema_mistake(reader, config_place(memory, "soft"),
				      "memory.soft (%" PRIu64 " bytes) is above memory.hard (%" PRIu64
				      " bytes%s); lower soft or raise hard",
				      plugin->memory_soft, plugin->memory_hard,
				      yaml_get(memory, "hard") ? "" : ", its default");
	config_check_policy(reader, config, plugin);
	if (plugin->nonces.window > 0 && config->daemon.nonce_directory == NULL)
		(void) schema_mistake(reader, config_place(yaml_get(plugin->node, "nonces"), "window"),
				      "nonces.window asks for nonces to be kept, but there is no folder for them; add "
				      "daemon.nonce_directory");
	if (plugin->isolation != 0)
		(void) schema_mistake(
			reader, config_place(plugin->node, "isolation"),
			"process isolation comes after the first release; use isolation: arena, which keeps the "
			"plugin on heaps of its own inside the daemon's process");
	if (plugin->settings && plugin->settings->kind != YAML_MAP)
		(void) schema_mistake(reader, plugin->settings,
				      "config of a plugin must be a mapping; write \"key: value\" lines");
	if (!plugin->path && plugin->name && asprintf(&plugin->path, "%s.so", plugin->name) < 0) {
		plugin->path = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int
control_check(struct schema_reader *reader, struct config *config)
{
	const struct yaml_node *node = yaml_get(config->tree, "control");
	struct config_control *control = &config->control;
	const size_t room = sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1;

	if (!control->socket && config->daemon.run_directory &&
	    asprintf(&control->socket, "%s/control.sock", config->daemon.run_directory) < 0) {
		control->socket = NULL;
		return -ENOMEM;
	}
	if (control->socket && strlen(control->socket) > room)
		(void) schema_mistake(
			reader, node ? config_place(node, "socket") : config->tree,
			"the control socket's path has %zu bytes; the kernel takes %zu, use a shorter folder",
			strlen(control->socket), room);
	if (control->readonly_socket && strlen(control->readonly_socket) > room)
		(void) schema_mistake(
			reader, config_place(node, "readonly_socket"),
			"the read-only socket's path has %zu bytes; the kernel takes %zu, use a shorter folder",
			strlen(control->readonly_socket), room);
	if (control->socket && control->readonly_socket && strcmp(control->socket, control->readonly_socket) == 0)
		(void) schema_mistake(reader, config_place(node, "readonly_socket"),
				      "readonly_socket is the same file as socket; give it another path");
	return 0;
}

/* Where the service manager gives a folder that lasts, what is to be kept has one. */
static int
state_folder(const char *name, char **path)
{
	const char *state = getenv("STATE_DIRECTORY");

	if (*path || !state || !*state)
		return 0;
	if (asprintf(path, "%.*s/%s", (int) strcspn(state, ":"), state, name) < 0) {
		*path = NULL;
		return -ENOMEM;
	}
	return 0;
}

static void
access_log_check(struct schema_reader *reader, const struct config *config)
{
	const struct config_access_log *log = &config->daemon.access_log;
	const struct yaml_node *daemon = yaml_get(config->tree, "daemon"), *node = yaml_get(daemon, "access_log");

	if (log->to == CONFIG_ACCESS_LOG_FILE && !log->path && !yaml_get(node, "path"))
		(void) schema_mistake(reader, config_place(node, "to"),
				      "to: file needs a path; add one, such as /var/log/mtlsd/access.log");
}

int
config_check(struct schema_reader *reader, struct config *config)
{
	int r;

	/* The table's words begin at syslog's LOG_ERR and follow its order. */
	config->daemon.log_level += LOG_ERR;
	r = names_check(reader, "tls set", config->tls, config->tls_count, sizeof(*config->tls),
			offsetof(struct config_tls, node));
	if (r == 0)
		r = names_check(reader, "listener", config->listeners, config->listener_count,
				sizeof(*config->listeners), offsetof(struct config_listener, node));
	if (r == 0)
		r = names_check(reader, "plugin", config->plugins, config->plugin_count, sizeof(*config->plugins),
				offsetof(struct config_plugin, node));
	if (r == 0)
		r = names_check(reader, "route", config->routes, config->route_count, sizeof(*config->routes),
				offsetof(struct config_route, node));
	if (r == 0)
		r = state_folder("dumps", &config->daemon.dump_directory);
	if (r == 0)
		r = state_folder("nonces", &config->daemon.nonce_directory);
	access_log_check(reader, config);
	for (size_t i = 0; r == 0 && i < config->tls_count; i++)
		r = config_check_tls(reader, &config->tls[i]);
	for (size_t i = 0; r == 0 && i < config->plugin_count; i++)
		r = plugin_check(reader, config, &config->plugins[i]);
	if (r == 0)
		r = control_check(reader, config);
	if (r == 0)
		r = listeners_check(reader, config);
	if (r == 0)
		r = config_check_routes(reader, config);
	if (r < 0)
		return r;
	return schema_mistake_count(reader) > 0 ? -EINVAL : 0;
}
