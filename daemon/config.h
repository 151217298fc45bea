/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* config.h - the configuration file as an immutable, counted snapshot.
 *
 * config_load reads the file, checks it against the schema tables and resolves references between its parts (a route's
 * plugins, a listener's tls set), and either returns a whole snapshot or every mistake with its place. It opens no
 * socket, certificate or plugin.
 *
 * Units: bytes, microseconds. Threads: a snapshot is read-only and may be shared; ref/unref from any thread.
 * Owns: everything reachable from the snapshot, until the last unref.
 */
#include "breaker.h"
#include "budget.h"
#include "error.h"
#include "policy.h"
#include "schema.h"

#include <stdbool.h>
#include <stdint.h>

enum config_crl { CONFIG_CRL_OFF, CONFIG_CRL_SOFT, CONFIG_CRL_REQUIRED }; /* required: present, covering and fresh */
enum config_access_log_to { CONFIG_ACCESS_LOG_OFF, CONFIG_ACCESS_LOG_JOURNAL, CONFIG_ACCESS_LOG_FILE };
enum config_access_log_format { CONFIG_ACCESS_LOG_COMBINED, CONFIG_ACCESS_LOG_JSON };
enum config_fault { CONFIG_FAULT_IGNORE, CONFIG_FAULT_RESTART };
enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };

/* Files are paths or credential:NAME (secret.h). */
struct config_certificate {
	char *certificate; /* PEM: the certificate, then its issuers */
	char *key;         /* PEM, or the URI of a token */
	char *ocsp;        /* stapled answer, may be NULL */
	const struct yaml_node *node;
};

struct config_tls {
	char *name;
	struct config_certificate first; /* the set's own keys; moved to the front of certificates */
	struct config_certificate *certificates;
	size_t certificate_count; /* at least 1 */
	char *client_ca;          /* PEM bundle */
	char *client_crl;         /* PEM, may be NULL with crl: off */
	int crl;                  /* enum config_crl */
	int min_version;          /* enum config_tls_version */
	bool tickets;
	uint64_t ticket_lifetime, ticket_rotation;
	char *ticket_key; /* shared secrets, may be NULL */
	int64_t verified_chains;
	uint64_t warn_before; /* of expiry */
	const struct yaml_node *node;
};

struct config_listener {
	char *name;
	char *address; /* "0.0.0.0:8443", "[::]:8443", "[::1]:0", or "inherited:NAME" (socket passed by systemd) */
	char *tls;
	const struct config_tls *tls_set;
	int64_t backlog;
	bool tickets; /* false: none, whatever the set says */
	const struct yaml_node *node;
};

/* What the process may still do once it serves (wall.h). */
struct config_walls {
	bool files, calls;
};
/* What a plugin does beyond serving requests. */
struct config_needs {
	struct schema_strings read, write; /* files and folders */
	bool network;                      /* connects out */
	bool exec;                         /* starts programs */
};

struct config_access_log {
	int to, format; /* enum config_access_log_to, config_access_log_format */
	char *path;     /* NULL unless to: file */
	int64_t rate;   /* records a second, 0: no bound */
	bool query;     /* write the query too */
};

struct config_limits {
	int64_t connections, connections_per_address;
	/* all absolute but idle */
	uint64_t handshake_timeout, header_timeout, body_timeout, write_timeout, idle_timeout;
	uint64_t header_size, body_size; /* bytes */
	int64_t header_count;
};

/* How a plugin is watched; what is done then is its policy. */
struct config_leak {
	bool watch, probe;
	double min_rate; /* bytes a request */
	uint64_t min_growth, warm_up;
	int64_t warm_up_requests, probe_per_hour;
	double probe_load; /* 0..1 */
};

/* What keeps its signed requests from being taken twice (nonces.h). */
struct config_nonces {
	uint64_t window, skew; /* window 0: nothing */
	int64_t capacity;
};

struct config_plugin {
	char *name;
	char *path; /* absolute, or relative to daemon.plugin_directory */
	bool enabled;
	int isolation;              /* 0: arena (in process); "process" is refused with its sentence */
	uint64_t memory_soft, memory_hard;
	int memory_on_fault; /* enum config_fault */
	uint64_t memory_sample_interval; /* 0: no call stacks are sampled */
	struct config_leak leak;
	struct policy_settings policy;
	struct budget_settings budget;
	struct breaker_settings breaker;
	int64_t threads, queue;     /* of the pool of a blocking plugin */
	uint64_t deadline;          /* for one request in this plugin */
	uint64_t start_timeout, drain_timeout;
	uint64_t body_size;         /* 0: limits.body_size */
	struct config_needs needs;
	struct config_nonces nonces;
	struct schema_strings imports_allowed; /* forbidden imports this plugin may use all the same */
	const struct yaml_node *settings; /* the plugin's own mapping, checked by its own schema; NULL: none */
	const struct yaml_node *node;
	unsigned index; /* position in config.plugins */
};

/* One rule: all it asks must hold for the peer (access.h); "" or NULL: not asked. */
struct config_rule {
	char *uri, *trust_domain, *dns, *email, *ip;
	char *subject, *subject_attributes, *issuer, *issuer_attributes, *serial;
	char *spki, *fingerprint, *purpose;
	char *source; /* network of the client's address */
	bool any;     /* any: true - every verified client */
	const struct yaml_node *node;
};

struct config_route {
	char *name;
	char *path, *prefix; /* exactly one is set */
	struct schema_strings methods, hosts; /* empty: all */
	struct config_rule *deny, *allow; /* deny goes first */
	size_t deny_count, allow_count;
	struct schema_strings filter_names;
	char *handler_name;
	const struct config_plugin **filters;
	size_t filter_count;
	const struct config_plugin *handler;
	const struct yaml_node *node;
	unsigned index;
};

struct config_control {
	char *socket, *readonly_socket; /* readonly NULL: none */
	char *group;                    /* NULL: the daemon's */
	unsigned mode, readonly_mode;
	struct schema_strings admin_users, admin_groups; /* who may change, beside root and the daemon's own user */
};

struct config {
	char *file;
	uint64_t generation; /* 1 for the first snapshot, rising */
	struct {
		int64_t threads; /* 0: one per core */
		int log_level;   /* syslog level */
		char *run_directory, *plugin_directory;
		uint64_t drain_timeout;
		char *dump_directory; /* NULL: no dumps are written */
		int64_t dump_count;
		uint64_t dump_bytes;
		char *nonce_directory; /* NULL: none are kept */
		struct config_access_log access_log;
		struct config_walls walls;
		uint64_t memory_decay; /* free pages of plugin heaps go back after this long */
	} daemon;
	struct config_control control;
	struct config_limits limits;
	struct config_tls *tls;
	size_t tls_count;
	struct config_listener *listeners;
	size_t listener_count;
	struct config_plugin *plugins;
	size_t plugin_count;
	struct config_route *routes;
	size_t route_count;
	struct yaml_node *tree; /* kept: settings and places point into it */
};

/* All mistakes are in *mistakes, one a line, "file:line:column: text", freed by the caller; NULL if none. */
int config_load(const char *path, struct config **ret, char **ret_mistakes);
int config_load_text(const char *name, const char *text, size_t length, struct config **ret, char **ret_mistakes);
struct config *config_ref(struct config *config);
void config_unref(struct config **config); /* clears the caller's pointer; accepts NULL */
/* The whole reference, printed from the tables. */
void config_print_reference(FILE *out);
