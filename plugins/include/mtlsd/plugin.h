/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MTLSD_PLUGIN_H
#define MTLSD_PLUGIN_H
/* mtlsd/plugin.h - the interface between mtlsd and a plugin, ABI 1.
 *
 * A plugin is a shared object with one exported symbol, the const descriptor made by MTLSD_PLUGIN. This header is all a
 * plugin includes of mtlsd; it links nothing.
 *
 * THE STORY OF A REQUEST
 *
 *   load     dlopen (constructors run), the descriptor's numbers are compared, its options are checked against the
 *            plugin's `config:` mapping, then `check`, then `init`, then `health`. Any refusal leaves the daemon as it
 *            was: an older instance keeps serving.
 *   request  A client whose certificate was verified inside the TLS handshake sent a request, its route matched and
 *            allowed it. `request` is called once the body is there in full (mtlsd_host.body), or, with
 *            MTLSD_STREAM_BODY, as soon as the head is; `body` then gets it piece by piece. The plugin reads by
 *            getters, answers with respond or respond_stream and returns MTLSD_DONE; a filter may return MTLSD_PASS;
 *            whoever wants to answer later, from any thread, returns MTLSD_DEFER and calls finish when the answer is
 *            set.
 *   cancel   Nobody waits any more (client gone, deadline, drain). Only a hint: a deferred request stays yours until
 *            you call finish.
 *   done     The answer went out, or could not. Last call with this request; its arena dies after it.
 *   evict    Give memory back, as much as asked, no more than the level allows.
 *   fini     The last call, after the last request and the last release hook. End your threads here (join them);
 *            whatever your own heap still holds afterwards is destroyed with the instance.
 *
 * MEMORY
 *
 *   Plain malloc, strdup, new: the instance's own heap, counted, limited, destroyed with the instance. At the hard
 *   limit they return NULL with ENOMEM (new throws): handle it. mtlsd_host.alloc gives memory that ends with the
 *   request and is the cure for most leaks. What libraries allocate on your behalf is counted in the plugin's foreign
 *   heap.
 *   Strings the host returns belong to the host and live as long as the object they were read from (request, config,
 *   instance), unless a function says less. Data given to the host is copied before the call returns, unless a function
 *   says otherwise (stream contexts, user data: they stay yours, with a release hook).
 *
 * THREADS
 *
 *   Without MTLSD_CONCURRENT no two callbacks of an instance ever overlap. With it, request, body, stream read, cancel,
 *   done and release hooks of different requests may run at once on several threads; those of one request never do,
 *   except cancel, which may run while request or body of a blocking plugin still runs.
 *   evict, dump, health and reconfigure overlap requests only with MTLSD_OVERLAP; else the daemon waits for a moment
 *   without a callback inside. check, init and fini never overlap anything.
 *   Quick plugins are called on the daemon's serving threads and must not block (aim below a millisecond): declare
 *   MTLSD_BLOCKING otherwise; then request, body and done run on a pool of the plugin's own.
 *   Host functions may be called from every thread, those of a request by one thread at a time.
 *   Threads you start belong to the instance: end them in fini at the latest (join them), or the instance cannot be
 *   unloaded and stays as a zombie.
 *
 * WHAT A PLUGIN MUST NOT DO TO THE PROCESS
 *
 *   exit, _exit, abort on bad input, fork without exec, setuid and friends, chdir, chroot, umask, signal handlers and
 *   masks, setlocale, setenv, closing descriptors it did not open, dlopen with RTLD_GLOBAL, mallopt. Imports of such
 *   functions are found at load and refused, unless the configuration allows them by name (imports_allowed).
 *
 * ERRORS
 *
 *   int results are 0 or a negative errno. -EINVAL: an argument is wrong; -ENOMEM; -EALREADY: an answer was set and
 *   sent already; -ECANCELED: nobody waits any more; -EOPNOTSUPP: this daemon cannot (older minor version).
 *
 * VERSIONS
 *
 *   Major differs: not loaded. A plugin built against a newer minor than the daemon's is not loaded and told so; an
 *   older one is. Structs carry their size and only ever grow at the end; look at MTLSD_HAS before calling a function
 *   newer than the minor you require. Flags the daemon does not know are refused by name.
 *     1.0  the first.
 *     1.1  client_cert, channel_binding; MTLSD_ID_PURPOSE.
 *     1.2  nonce_window, nonce.
 *
 * The same shared object runs inside the daemon or in a process of its own: nothing here shares memory beyond a call
 * except what is named above.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MTLSD_MAGIC UINT64_C(0x317664736c746d) /* "mtlsdv1" in memory order */
#define MTLSD_ABI_MAJOR 1
#define MTLSD_ABI_MINOR 2
#define MTLSD_SYMBOL "mtlsd_plugin_descriptor"

/* Opaque. */
typedef struct mtlsd_instance mtlsd_instance; /* this loaded copy; valid from init to fini */
typedef struct mtlsd_request mtlsd_request;   /* valid from request to done */
/* Checked settings: check's are valid during the call, init's until fini or until reconfigure accepts others. */
typedef struct mtlsd_config mtlsd_config;
typedef struct mtlsd_dump mtlsd_dump;         /* valid during dump */

/* Flags of the descriptor. */
enum {
	MTLSD_CONCURRENT = 1 << 0,  /* callbacks of different requests may overlap */
	MTLSD_BLOCKING = 1 << 1,    /* callbacks may block: run them on a pool of their own */
	MTLSD_FILTER = 1 << 2,      /* may return MTLSD_PASS; only filters may stand in a route's `filters` */
	MTLSD_STREAM_BODY = 1 << 3, /* wants `request` at the head and the body by `body` */
	MTLSD_OVERLAP = 1 << 4,     /* evict, dump, health, reconfigure may overlap requests */
};

/* What request and body return. Anything else, or DONE without an answer, is a 500 and counted. */
typedef enum {
	MTLSD_DONE = 0,  /* the answer is set */
	MTLSD_PASS = 1,  /* filters: the next in the chain goes on */
	MTLSD_DEFER = 2, /* finish will be called, on any thread, exactly once */
	MTLSD_MORE = 3,  /* MTLSD_STREAM_BODY: call body with the next piece */
	MTLSD_FAIL = 4,  /* 500, counted as this plugin's error */
} mtlsd_action;

/* Why cancel is called. */
typedef enum {
	MTLSD_CLIENT_GONE = 1,
	MTLSD_DEADLINE = 2, /* the handler deadline passed; the client got 504 */
	MTLSD_DRAIN = 3,    /* the instance is being replaced or the daemon stops; the client got 503 */
} mtlsd_reason;

/* How done tells the end. */
typedef enum {
	MTLSD_SENT = 0,    /* the whole answer was handed to the network */
	MTLSD_ABORTED = 1, /* it was not */
} mtlsd_outcome;

/* How much evict may take. Each level includes those before it. */
typedef enum {
	MTLSD_EVICT_CACHES = 1, /* what is only there for speed */
	MTLSD_EVICT_STATE = 2,  /* what can be rebuilt at a price */
	MTLSD_EVICT_REPLAY = 3, /* nonces, ticket state: forgetting it allows replays; only on the operator's word */
} mtlsd_level;

typedef enum {
	MTLSD_LOG_ERROR = 3,
	MTLSD_LOG_WARNING = 4,
	MTLSD_LOG_NOTICE = 5,
	MTLSD_LOG_INFO = 6,
	MTLSD_LOG_DEBUG = 7,
} mtlsd_log_level;

/* One field of the verified identity. Lists are read by index until NULL. */
typedef enum {
	MTLSD_ID_SUBJECT = 0, /* RFC 4514 */
	MTLSD_ID_ISSUER = 1,
	MTLSD_ID_SERIAL = 2,             /* lower-case hex */
	MTLSD_ID_SPKI_SHA256 = 3,        /* lower-case hex */
	MTLSD_ID_CERTIFICATE_SHA256 = 4, /* lower-case hex */
	MTLSD_ID_SAN_URI = 5,            /* list */
	MTLSD_ID_SAN_DNS = 6,            /* list */
	MTLSD_ID_SAN_EMAIL = 7,          /* list */
	MTLSD_ID_SAN_IP = 8,             /* list */
	MTLSD_ID_PURPOSE = 9,            /* list: extended key usage, object identifiers; since 1.1 */
} mtlsd_field;

/* One setting of the plugin's `config:` mapping. The table ends with a row whose name is NULL. */
typedef enum {
	MTLSD_OPTION_BOOL = 0,
	MTLSD_OPTION_INT = 1,
	MTLSD_OPTION_SIZE = 2,     /* bytes: 4096, 64KiB, 16MiB */
	MTLSD_OPTION_DURATION = 3, /* read as microseconds: 250ms, 10s, 1h */
	MTLSD_OPTION_STRING = 4,
	MTLSD_OPTION_CHOICE = 5,  /* one of choices; read by config_string */
	MTLSD_OPTION_STRINGS = 6, /* a word or a list of them */
} mtlsd_option_type;

typedef struct mtlsd_option {
	const char *name; /* lower case, digits, '_' */
	mtlsd_option_type type;
	int required;
	int64_t min, max;     /* INT, SIZE, DURATION: inclusive; both 0: no bound. STRING: length */
	const char *fallback; /* default, written as in the file; NULL: 0, false, NULL */
	const char *choices;  /* CHOICE: "fast|small" */
	const char *help;
} mtlsd_option;

/* A streamed answer, pulled by the daemon. The functions run as request callbacks do, never after release. */
typedef struct mtlsd_stream {
	size_t size; /* sizeof(mtlsd_stream) */
	/* Writes up to room bytes; returns how many, 0 at the end, -EAGAIN: nothing now, stream_ready will be called;
	 * another negative errno: broken, the connection is cut. Must not block. */
	ssize_t (*read)(void *context, uint64_t position, char *buffer, size_t room);
	void (*release)(void *context); /* once, when the answer ended either way, before done; may be NULL */
} mtlsd_stream;

/* The host's services, given to check and init; valid for the process's life. */
typedef struct mtlsd_host {
	size_t size; /* as this daemon knows it: see MTLSD_HAS */
	uint16_t abi_major, abi_minor;

	/* --- instance ------------------------------------------------------------------------------------------ */
	const char *(*plugin_name)(const mtlsd_instance *self);
	uint64_t (*instance_number)(const mtlsd_instance *self);
	/* One record in the daemon's log, named after the plugin; rate-limited. */
	void (*log)(const mtlsd_instance *self, mtlsd_log_level level, const char *format, ...)
#ifdef __GNUC__
		__attribute__((format(printf, 3, 4)))
#endif
		;
	/* A counter shown by `mtlsctl show`: register at init (-EINVAL for a bad name, -ENOSPC past 64), add anywhere.
	 * The number returned is 0 or higher. */
	int (*counter)(mtlsd_instance *self, const char *name, const char *help);
	void (*count)(mtlsd_instance *self, int counter, uint64_t add);

	/* --- settings ------------------------------------------------------------------------------------------ */
	/* BOOL, INT, SIZE, DURATION; 0 if unknown. */
	int64_t (*config_int)(const mtlsd_config *config, const char *name);
	const char *(*config_string)(const mtlsd_config *config, const char *name);             /* NULL if not set */
	const char *(*config_item)(const mtlsd_config *config, const char *name, size_t index); /* NULL past the end */

	/* --- reading a request --------------------------------------------------------------------------------- */
	const char *(*method)(const mtlsd_request *request);
	const char *(*path)(const mtlsd_request *request);  /* decoded, normal form, begins with '/' */
	const char *(*query)(const mtlsd_request *request); /* raw; NULL: none */
	const char *(*host)(const mtlsd_request *request);  /* lower case, no port; NULL: none */
	const char *(*route)(const mtlsd_request *request); /* the route's configured name */
	/* By name (case does not matter), index counts repeats from 0; NULL past the end. */
	const char *(*header)(const mtlsd_request *request, const char *name, size_t index);
	/* All headers in order; returns 0 past the end. */
	int (*header_at)(const mtlsd_request *request, size_t index, const char **name, const char **value);
	/* The buffered body; *length 0 and "" if there is none. Not with MTLSD_STREAM_BODY. */
	const void *(*body)(const mtlsd_request *request, size_t *length);
	int64_t (*content_length)(const mtlsd_request *request); /* -1: chunked; 0: none */
	const char *(*identity)(const mtlsd_request *request, mtlsd_field field, size_t index); /* NULL past the end */
	int64_t (*not_before)(const mtlsd_request *request); /* Unix seconds */
	int64_t (*not_after)(const mtlsd_request *request);
	const char *(*peer_address)(const mtlsd_request *request);
	const char *(*tls_version)(const mtlsd_request *request);
	int64_t (*deadline)(const mtlsd_request *request); /* milliseconds left for this plugin, never below 0 */
	int (*cancelled)(const mtlsd_request *request);    /* 0, or the mtlsd_reason; cheap, for long loops */

	/* --- memory and data of a request ---------------------------------------------------------------------- */
	/* 16-byte aligned, freed after done; NULL with ENOMEM at the hard limit. */
	void *(*alloc)(mtlsd_request *request, size_t size);
	/* One pointer a request and instance; release runs after done. */
	int (*set_data)(mtlsd_request *request, void *data, void (*release)(void *data));
	void *(*data)(const mtlsd_request *request);
	/* One pointer a connection and instance; release runs when the connection ends, or before fini. */
	int (*set_connection_data)(mtlsd_request *request, void *data, void (*release)(void *data));
	void *(*connection_data)(const mtlsd_request *request);
	/* Words passed along the chain of a route, from filters to the handler. At most 64; copied. */
	int (*set_attribute)(mtlsd_request *request, const char *name, const char *value);
	const char *(*attribute)(const mtlsd_request *request, const char *name);

	/* --- answering ----------------------------------------------------------------------------------------- */
	/* Adds a header. Framing headers are refused (-EINVAL), as are more than 64, or 3,584 bytes of them in all
	 * (-E2BIG); repeats are sent as repeats. A filter that passes on may have added headers: they are sent with the
	 * handler's answer. */
	int (*add_header)(mtlsd_request *request, const char *name, const char *value);
	/* The whole answer; body is copied. Called again before it is sent, it is replaced. status: 200..599. */
	int (*respond)(mtlsd_request *request, int status, const void *body, size_t length);
	/* A streamed answer of `length` bytes, or -1: unknown. stream is copied, context stays the plugin's. */
	int (*respond_stream)(mtlsd_request *request, int status, int64_t length, const mtlsd_stream *stream,
			      void *context);
	/* More is there for a stream whose read said -EAGAIN. Any thread; harmless when it is early or late. */
	void (*stream_ready)(mtlsd_request *request);
	/* Ends a deferred request: with MTLSD_DONE the answer that was set is sent, MTLSD_PASS goes on along the chain,
	 * MTLSD_FAIL makes a 500. -ECANCELED: nobody waited any more; the request is over all the same. After this call
	 * the request may be gone: touch it no more. done may run before it returns: hold no lock that done takes. */
	int (*finish)(mtlsd_request *request, mtlsd_action action);

	/* --- dump ---------------------------------------------------------------------------------------------- */
	/* One line of `mtlsctl dump`'s plugin section. */
	void (*dump_text)(mtlsd_dump *dump, const char *name, const char *value);
	void (*dump_number)(mtlsd_dump *dump, const char *name, uint64_t value);

	/* --- since 1.1: for those who pass requests on ---------------------------------------------------------- */
	/* The client's certificates as field values of RFC 9440 (":base64:"): index 0 is that of Client-Cert, the rest
	 * are the members of Client-Cert-Chain in order; NULL past the end. Valid until done. Fields of these names
	 * that clients send are removed before any plugin sees them: whoever passes a request on adds these. */
	const char *(*client_cert)(const mtlsd_request *request, size_t index);
	/* The connection's tls-exporter channel binding (RFC 9266): writes 32 bytes and returns 32. -ENOSPC: size is
	 * less; -ENODATA: this connection has none (TLS 1.2 without the extended master secret). */
	int (*channel_binding)(const mtlsd_request *request, void *buffer, size_t size);

	/* --- since 1.2: signed messages, each once -------------------------------------------------------------- */
	/* For how many seconds a signed message is acceptable; 0: the configuration keeps no nonces for this plugin
	 * (nonces.window), which init may refuse. A reload may change it. */
	int64_t (*nonce_window)(const mtlsd_instance *self);
	/* May a message with this nonce be taken? Ask once its signature is verified, or strangers fill the store;
	 * where several sign, put the name of the key in front of the nonce. signed_at: as the message says, Unix
	 * seconds. The store belongs to the plugin, not to the instance: restarts, reloads and crashes forget nothing.
	 * 0: yes, and never again. -EEXIST: it was taken before: refuse (401, 409). -ETIME: signed too long ago, or too
	 * far ahead: refuse (401). -ENOSPC: the store is full; -EIO: the disk is: 503, and the same message stays
	 * refused. -EINVAL: no nonce, or over 256 bytes. -EOPNOTSUPP: no store. Writes to a file, some microseconds. */
	int (*nonce)(mtlsd_instance *self, const void *nonce, size_t length, int64_t signed_at);
} mtlsd_host;

/* True if this daemon's host table has the function. */
#define MTLSD_HAS(host, function)                                                                                      \
	((host)->size >= offsetof(mtlsd_host, function) + sizeof((host)->function))

/* The descriptor. Callbacks that are NULL are not called; only request is required. `user` is what init set. */
typedef struct mtlsd_plugin {
	uint64_t magic;
	uint16_t abi_major, abi_minor;
	uint32_t size;
	const char *name;    /* [a-z][a-z0-9_-]*, at most 31 bytes */
	const char *version; /* the plugin's own */
	const char *summary; /* one line */
	uint32_t flags;
	uint32_t reserved;           /* 0 */
	const mtlsd_option *options; /* NULL: takes no settings */

	/* Looks at settings beyond what the table can say. Writes one sentence to error and returns a negative errno to
	 * refuse. Must not keep anything: it also runs for `mtlsd --check-config`, without init. */
	int (*check)(const mtlsd_host *host, const mtlsd_config *config, char *error, size_t error_size);
	/* Negative errno: the instance is not started; error is shown to the operator. host and config stay valid. */
	int (*init)(const mtlsd_host *host, mtlsd_instance *self, const mtlsd_config *config, void **user, char *error,
		    size_t error_size);
	/* Ready to serve? Called after init and, rarely, while serving. 0: healthy; else a sentence in error. */
	int (*health)(void *user, char *error, size_t error_size);
	/* New settings without a new instance. NULL or -EOPNOTSUPP: the instance is replaced instead. Another negative
	 * errno: refused, the old settings stay. config replaces the one init was given. */
	int (*reconfigure)(void *user, const mtlsd_config *config, char *error, size_t error_size);

	mtlsd_action (*request)(void *user, mtlsd_request *request);
	/* A piece of the body; length 0: its end. data is valid during the call. Return MTLSD_MORE until the end. */
	mtlsd_action (*body)(void *user, mtlsd_request *request, const void *data, size_t length);
	void (*cancel)(void *user, mtlsd_request *request, mtlsd_reason reason);
	void (*done)(void *user, mtlsd_request *request, mtlsd_outcome outcome);

	/* Frees about `target` bytes (UINT64_MAX: all it can); returns the bytes it believes to have freed. */
	uint64_t (*evict)(void *user, uint64_t target, mtlsd_level level);
	/* Says what the plugin knows of its own state, by dump_text and dump_number. */
	void (*dump)(void *user, mtlsd_dump *dump);
	void (*fini)(void *user);
} mtlsd_plugin;

#if defined(__GNUC__)
#define MTLSD_EXPORT __attribute__((visibility("default"), used))
#else
#define MTLSD_EXPORT
#endif

/* The head of every descriptor:
 *
 *   MTLSD_PLUGIN = {
 *           MTLSD_PLUGIN_HEAD("echo", "1.0", "sends back what it got"),
 *           .flags = MTLSD_CONCURRENT,
 *           .request = echo_request,
 *   };
 */
#ifdef __cplusplus
#define MTLSD_PLUGIN extern "C" MTLSD_EXPORT const mtlsd_plugin mtlsd_plugin_descriptor
#else
#define MTLSD_PLUGIN MTLSD_EXPORT const mtlsd_plugin mtlsd_plugin_descriptor
#endif
#define MTLSD_PLUGIN_HEAD(plugin_name, plugin_version, plugin_summary)                                                 \
	.magic = MTLSD_MAGIC, .abi_major = MTLSD_ABI_MAJOR, .abi_minor = MTLSD_ABI_MINOR,                              \
	.size = sizeof(mtlsd_plugin), .name = (plugin_name), .version = (plugin_version), .summary = (plugin_summary)

#ifdef __cplusplus
}
#endif
#endif
