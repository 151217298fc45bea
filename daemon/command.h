/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* command.h - one row a control command: its names, arguments, privilege, help, how to show its reply, its function.
 *
 * Everything that is said about a command anywhere (Varlink method and interface text, mtlsctl's usage, help, argument
 * parsing and tables) is read from its row. mtlsctl gets the rows from the daemon as JSON (command_describe); its own
 * local commands are rows of the same kind.
 *
 * Threads: rows are const. run is called on the main thread, or on a job's thread if the row says slow.
 * Owns: nothing.
 */
#include "error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct explain_place;
struct job_queue;
struct overseer_view;
struct server;

enum command_type {
	COMMAND_STRING,
	COMMAND_INT,
	COMMAND_SIZE,     /* JSON: bytes; mtlsctl reads 64MiB */
	COMMAND_DURATION, /* JSON: microseconds; mtlsctl reads 10s */
	COMMAND_BOOL,
	COMMAND_CHOICE,
	COMMAND_JSON,   /* JSON: an object; mtlsctl reads a file name and sends what the file says */
	COMMAND_FILE,   /* JSON: a string; mtlsctl reads a file name and sends what the file says */
	COMMAND_OUTPUT, /* JSON: true, and a descriptor travels with the call; mtlsctl reads a file name and opens it */
};

struct command_argument {
	const char *name; /* key in the call's parameters; mtlsctl's option has '-' for '_' */
	enum command_type type;
	bool positional; /* mtlsctl takes it by place, not as --option */
	bool required;
	int64_t min, max;     /* INT, SIZE, DURATION: inclusive, both 0: from 0 on. STRING, FILE: max bytes, 0: 4096 */
	const char *choices;  /* CHOICE: "text|json" */
	const char *fallback; /* default as JSON text; NULL: absent */
	const char *metavar;  /* what help calls the value; NULL: from the type */
	const char *help;
};

/* Formats are words, so that an older mtlsctl shows one it does not know as it comes:
 * text name (text, cut where it is very long) count size (bytes) limit (bytes, 0: none) duration (microseconds) seconds
 * real (a number with three digits that say something) number (a number as text) since (Unix time, shown as an age)
 * time (Unix time) bool state (coloured on a terminal) list (strings) any (strings,
 * none meaning all) bar (share of the column's greatest). */
struct command_column {
	const char *title, *key, *format; /* key: a path with dots; a row without title ends the list */
};

enum command_block_kind {
	COMMAND_FIELDS, /* lines "title  value" of one object */
	COMMAND_TABLE,  /* an array of objects */
	COMMAND_MAP,    /* an object whose keys nobody knows beforehand: lines "key  value" */
	COMMAND_LINES,  /* an array of strings, or one string */
};

/* A part of a shown reply. A part whose key is absent from the reply is left out. */
struct command_block {
	enum command_block_kind kind;
	const char *key;                      /* path in the reply; "": the reply itself; NULL ends the list */
	const char *title;                    /* NULL: none */
	const struct command_column *columns; /* FIELDS, TABLE */
	const char *empty;                    /* what to say instead of an empty table; NULL: nothing */
};

enum command_privilege {
	COMMAND_READ,
	COMMAND_CHANGE,
	COMMAND_CHANGE_IF_GIVEN, /* reads without arguments, changes with any */
};

struct command_context {
	struct server *server;
	struct job_queue *jobs;
};

/* One checked call. */
struct command_call {
	const struct command *command;
	const struct command_context *context;
	json_t *arguments; /* every argument that was given or has a default */
	int output;        /* the client's descriptor for a COMMAND_OUTPUT argument, else -1; the caller closes it */
	bool changes;      /* privilege of this very call */
};

struct command {
	const char *name;   /* mtlsctl's word; NULL: reachable by Varlink only */
	const char *method; /* without the interface's name; NULL: known to mtlsctl only */
	const char *help;   /* one line */
	enum command_privilege privilege;
	bool slow;                                /* runs as a job */
	const struct command_argument *arguments; /* ends with a row without name; NULL: none */
	const struct command_block *blocks;       /* ends with a row without key; NULL: nothing to show */
	const char *reply;                        /* the reply's fields, as Varlink writes them */
	/* 0 and the reply; or a negative errno and the sentence. -ENOENT means: no such plugin. -EINVAL, -EBUSY,
	 * -ESTALE, -ETIMEDOUT, -EPERM have errors of their own on the wire, everything else is a plain failure. A
	 * failure may leave an object in *ret: further parameters of the error. */
	int (*run)(const struct command_call *call, json_t **ret, struct error *error);
};

/* The name of the interface all methods belong to. */
extern const char command_interface[];

/* The table (commands.c). Ends with a row without help. */
extern const struct command command_table[];
const struct command *command_find(const char *method);

/* The i-th argument, those every such command has (--dry-run of changes, --no-block of slow ones) after its own. NULL
 * past the end. */
const struct command_argument *command_argument(const struct command *command, size_t i);

/* The row as JSON, for mtlsctl. */
json_t *command_describe(const struct command *command);

/* Checks parameters against the row; *ret: the arguments with defaults. On -EINVAL *ret_argument names the bad one
 * (owned by parameters or the row). */
int command_check(const struct command *command, json_t *parameters, json_t **ret, const char **ret_argument,
		  struct error *error);

/* True if these checked arguments make the call a change. */
bool command_changes(const struct command *command, const json_t *arguments);

/* Checked arguments; NULL, 0, false if absent. */
const char *command_string(const struct command_call *call, const char *name);
uint64_t command_number(const struct command_call *call, const char *name);
bool command_flag(const struct command_call *call, const char *name);

/* Ends a run: *ret is the reply, or -ENOMEM if some part of it could not be built and it is NULL. */
int command_reply(json_t *reply, json_t **ret, struct error *error);
/* A JSON string of any bytes: what is not UTF-8 becomes '?'. For words that come from plugins. */
json_t *command_text(const char *text);

/* command-daemon.c */
int command_status(const struct command_call *call, json_t **ret, struct error *error);
int command_test_access(const struct command_call *call, json_t **ret, struct error *error); /* command-access.c */
int command_routes(const struct command_call *call, json_t **ret, struct error *error);
int command_reload(const struct command_call *call, json_t **ret, struct error *error);
int command_log_level(const struct command_call *call, json_t **ret, struct error *error);
int command_jobs(const struct command_call *call, json_t **ret, struct error *error);
int command_check_config(const struct command_call *call, json_t **ret, struct error *error);
int command_commands(const struct command_call *call, json_t **ret, struct error *error);
/* command-list.c */
int command_list(const struct command_call *call, json_t **ret, struct error *error);
extern const struct command_block command_list_blocks[];
/* command-show.c */
int command_show(const struct command_call *call, json_t **ret, struct error *error);
extern const struct command_block command_show_blocks[];
/* command-plugin.c */
int command_evict(const struct command_call *call, json_t **ret, struct error *error);
int command_restart(const struct command_call *call, json_t **ret, struct error *error);
int command_enable(const struct command_call *call, json_t **ret, struct error *error);
int command_disable(const struct command_call *call, json_t **ret, struct error *error);
/* The plugin a call names: 0, or -ENOENT with the nearest name. */
struct supervisor_plugin;
int command_plugin(const struct command_call *call, struct supervisor_plugin *ret, struct error *error);
/* command-tls.c */
int command_tls(const struct command_call *call, json_t **ret, struct error *error);
int command_reload_tls(const struct command_call *call, json_t **ret, struct error *error);
extern const struct command_block command_tls_blocks[];
/* command-sampling.c */
int command_sampling(const struct command_call *call, json_t **ret, struct error *error);
extern const struct command_block command_sampling_blocks[];
/* command-escapes.c */
int command_escapes(const struct command_call *call, json_t **ret, struct error *error);
extern const struct command_block command_escapes_blocks[];
/* command-dump.c */
/* "file.c:12", or "module.so+0x34" where no line is known. */
json_t *command_place(const char *file, int line, const char *module, uint64_t offset);
int command_dump(const struct command_call *call, json_t **ret, struct error *error);
extern const struct command_block command_dump_blocks[];
/* command-explain.c */
int command_explain(const struct command_call *call, json_t **ret, struct error *error);
/* What the overseer knows of a plugin; false: nothing. Its verdict means something only with an instance. */
bool command_view(const struct command_call *call, const char *plugin, struct overseer_view *ret);
/* Verdicts and actions so far, an array; and how its rows are shown. */
json_t *command_history(const struct command_call *call, const char *plugin);
extern const struct command_column command_history_columns[];
/* What the plugin's settings say. */
bool command_is_watched(const struct config *config, const char *plugin);
bool command_probe_allowed(const struct config *config, const char *plugin);
/* An address of the serving instance by its names; empty where none is known. */
void command_resolve(const struct command_call *call, const char *plugin, uintptr_t address, struct explain_place *ret);
/* command-doctor.c */
int command_doctor(const struct command_call *call, json_t **ret, struct error *error);
extern const struct command_block command_doctor_blocks[];
