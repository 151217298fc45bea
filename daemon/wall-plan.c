/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wall-plan.h"

#include "cleanup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What libraries read: code, the resolver's and the clock's tables, trust stores, what the kernel says of the process.
 * Files that are not there are left out. */
static const char *const system_paths[] = {
	"/usr",
	"/lib",
	"/lib64",
	"/proc",
	"/sys/fs/cgroup",
	"/dev/null",
	"/dev/urandom",
	"/dev/random",
	"/etc/ld.so.cache",
	"/etc/localtime",
	"/etc/nsswitch.conf",
	"/etc/passwd",
	"/etc/group",
	"/etc/hosts",
	"/etc/host.conf",
	"/etc/resolv.conf",
	"/etc/gai.conf",
	"/etc/services",
	"/etc/protocols",
	"/etc/machine-id",
	"/etc/ssl",
	"/etc/pki",
	"/etc/gnutls",
	"/etc/pkcs11",
	"/etc/crypto-policies",
	"/run/systemd",
};
/* The last two: memory pressure is asked for by writing. */
static const char *const system_writes[] = {"/dev/null", "/proc/pressure", "/sys/fs/cgroup"};

static int
grant_add(struct wall_plan *plan, const char *path, bool write)
{
	char real[PATH_MAX];

	if (!realpath(path, real))
		return errno == ENOMEM ? -ENOMEM : 0; /* what is not there needs no leave */
	struct wall_grant *grown = reallocarray(plan->grants, plan->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	plan->grants = grown;
	char *copy = strdup(real);
	if (!copy)
		return -ENOMEM;
	plan->grants[plan->count++] = (struct wall_grant){.path = copy, .write = write};
	return 0;
}

static int
grant_folder(struct wall_plan *plan, const char *file, bool write)
{
	CLEANUP_FREE char *folder = strdup(file);
	char *slash = folder ? strrchr(folder, '/') : NULL;

	if (!folder)
		return -ENOMEM;
	if (!slash)
		return 0;
	slash[slash == folder] = '\0';
	return grant_add(plan, folder, write);
}

/* A file that may be replaced by renaming, itself or where its link points: the folders of both. */
static int
grant_file(struct wall_plan *plan, const char *file, bool write)
{
	char real[PATH_MAX];

	if (!file || file[0] != '/')
		return 0;
	int r = grant_folder(plan, file, write);
	if (r == 0 && realpath(file, real))
		r = grant_folder(plan, real, write);
	return r;
}

static int
plan_tls(struct wall_plan *plan, const struct config_tls *tls)
{
	int r = grant_file(plan, tls->client_ca, false);

	if (r == 0)
		r = grant_file(plan, tls->client_crl, false);
	if (r == 0)
		r = grant_file(plan, tls->ticket_key, false);
	for (size_t i = 0; r == 0 && i < tls->certificate_count; i++) {
		r = grant_file(plan, tls->certificates[i].certificate, false);
		if (r == 0)
			r = grant_file(plan, tls->certificates[i].key, false);
		if (r == 0)
			r = grant_file(plan, tls->certificates[i].ocsp, false);
	}
	return r;
}

static int
plan_strings(struct wall_plan *plan, const struct schema_strings *paths, bool write)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < paths->count; i++)
		r = grant_add(plan, paths->items[i], write);
	return r;
}

static int
plan_plugin(struct wall_plan *plan, const struct config *config, const struct config_plugin *plugin)
{
	CLEANUP_FREE char *path = NULL;
	int r;

	if (plugin->path[0] == '/')
		path = strdup(plugin->path);
	else if (asprintf(&path, "%s/%s", config->daemon.plugin_directory, plugin->path) < 0)
		path = NULL;
	if (!path)
		return -ENOMEM;
	plan->network |= plugin->needs.network;
	plan->exec |= plugin->needs.exec;
	r = grant_file(plan, path, false);
	if (r == 0)
		r = plan_strings(plan, &plugin->needs.read, false);
	if (r == 0)
		r = plan_strings(plan, &plugin->needs.write, true);
	return r;
}

static int
plan_daemon(struct wall_plan *plan, const struct config *config)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY"), *pressure = getenv("MEMORY_PRESSURE_WATCH");
	int r = grant_file(plan, config->file, false);

	if (r == 0 && credentials)
		r = grant_add(plan, credentials, false);
	if (r == 0 && pressure)
		r = grant_add(plan, pressure, true);
	if (r == 0)
		r = grant_add(plan, config->daemon.run_directory, true);
	if (r == 0)
		r = grant_add(plan, config->daemon.plugin_directory, false);
	if (r == 0 && config->daemon.dump_directory)
		r = grant_add(plan, config->daemon.dump_directory, true);
	if (r == 0 && config->daemon.nonce_directory)
		r = grant_add(plan, config->daemon.nonce_directory, true);
	if (r == 0)
		r = grant_file(plan, config->daemon.access_log.path, true);
	if (r == 0)
		r = grant_file(plan, config->control.socket, true);
	if (r == 0)
		r = grant_file(plan, config->control.readonly_socket, true);
	return r;
}

int
wall_plan_make(const struct config *config, struct wall_plan *ret)
{
	CLEANUP(wall_plan_clear)
	struct wall_plan plan = {.files = config->daemon.walls.files, .calls = config->daemon.walls.calls};
	int r = plan_daemon(&plan, config);

	for (size_t i = 0; r == 0 && i < ARRAY_LENGTH(system_paths); i++)
		r = grant_add(&plan, system_paths[i], false);
	for (size_t i = 0; r == 0 && i < ARRAY_LENGTH(system_writes); i++)
		r = grant_add(&plan, system_writes[i], true);
	for (size_t i = 0; r == 0 && i < config->tls_count; i++)
		r = plan_tls(&plan, &config->tls[i]);
	for (size_t i = 0; r == 0 && i < config->plugin_count; i++)
		r = plan_plugin(&plan, config, &config->plugins[i]);
	if (r < 0)
		return r;
	*ret = plan;
	plan = (struct wall_plan){0};
	return 0;
}

static bool
is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return strcmp(folder, "/") == 0 ||
	       (strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0'));
}

static bool
plan_covers(const struct wall_plan *plan, const struct wall_grant *wanted)
{
	for (size_t i = 0; i < plan->count; i++)
		if ((plan->grants[i].write || !wanted->write) && is_below(wanted->path, plan->grants[i].path))
			return true;
	return false;
}

const char *
wall_plan_lacks(const struct wall_plan *plan, const struct wall_plan *wanted)
{
	if (plan->files && !wanted->files)
		return "daemon.walls.files: no";
	if (plan->calls && !wanted->calls)
		return "daemon.walls.calls: no";
	if (!plan->network && wanted->network && plan->files)
		return "needs.network: yes of a plugin";
	if (!plan->exec && wanted->exec && plan->calls)
		return "needs.exec: yes of a plugin";
	for (size_t i = 0; plan->files && i < wanted->count; i++)
		if (!plan_covers(plan, &wanted->grants[i]))
			return wanted->grants[i].path;
	return NULL;
}

void
wall_plan_clear(struct wall_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		free(plan->grants[i].path);
	free(plan->grants);
	*plan = (struct wall_plan){0};
}
