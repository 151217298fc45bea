/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* edge.h - what the parts of the endpoint share: connections from accept to close. Private to endpoint.c and edge-*.c.
 *
 * A connection's life, and who acts:
 *
 *   WAITING  accepted, nothing received: costs this struct only        watch thread
 *   GIVEN    handed to libmicrohttpd, not seen by its thread yet       -
 *   SHAKING  TLS handshake; suspended whenever it waits for the peer   serving thread
 *   OPEN     requests                                                  serving thread
 *   LINGERING  closed by us; what the client still sends is thrown     watch thread
 *            away, because a reset would take our last words from it
 *
 * Threads: the serving thread of a connection is the libmicrohttpd thread that owns it. Other threads touch it under
 * its lock, having found it in the table (edge-table.c) or being its deadline. Lock order: table, connection, wheel.
 * Owns: see the structs.
 */
#include "connection.h"
#include "deadline.h"
#include "endpoint.h"
#include "flight.h"
#include "gate.h"
#include "handshake.h"
#include "identity-cache.h"
#include "listener.h"
#include "peer-limit.h"
#include "stats.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

struct MHD_Connection;
struct MHD_Daemon;
struct exchange;

enum edge_deadline {
	EDGE_HANDSHAKE, /* from accept to the end of the handshake */
	EDGE_HEADER,    /* from the first byte of a head to its end */
	EDGE_BODY,      /* from the head's end to the body's, without the time a plugin holds it up */
	EDGE_WRITE,     /* from the answer's queueing to its last byte */
	EDGE_IDLE,      /* between requests */
	EDGE_DEADLINE_COUNT,
	EDGE_SHORTLY = EDGE_DEADLINE_COUNT /* it is over already: not counted */
};

enum edge_counter {
	EDGE_ACCEPTED,
	EDGE_REFUSED_TOTAL,
	EDGE_REFUSED_ADDRESS,
	EDGE_REFUSED_OTHER,
	EDGE_FULL,
	EDGE_RESUMED,
	EDGE_BAD_REQUESTS,
	EDGE_BAD_RECORDS,
	EDGE_RENEGOTIATIONS,
	EDGE_QUEUED,       /* gauge */
	EDGE_QUEUED_TOTAL, /* that ever had to wait */
	EDGE_REQUESTS,
	EDGE_OPEN_CONNECTIONS,                             /* gauge */
	EDGE_OPEN_HANDSHAKING,                             /* gauge */
	EDGE_TIMEOUT,                                      /* + enum edge_deadline */
	EDGE_REFUSAL = EDGE_TIMEOUT + EDGE_DEADLINE_COUNT, /* + enum tls_refusal */
	EDGE_CUT = EDGE_REFUSAL + TLS_REFUSAL_COUNT,       /* + enum tls_refusal: let in once, not any longer */
	EDGE_COUNTERS = EDGE_CUT + TLS_REFUSAL_COUNT
};

/* What the configuration says about connections of one listener: immutable, counted, pinned by its connections. */
struct edge_profile {
	atomic_uint references;
	char *listener;
	struct tls_set *set;
	struct gate_limits gate;
	uint64_t timeouts[EDGE_DEADLINE_COUNT];
	bool no_tickets;
	atomic_bool gone; /* the listener left the configuration */
};

enum edge_state { EDGE_WAITING, EDGE_GIVEN, EDGE_SHAKING, EDGE_OPEN, EDGE_LINGERING };
enum edge_suspension { EDGE_RUNNING, EDGE_FOR_PEER, EDGE_FOR_REQUEST };

enum edge_turn { EDGE_TURN_NONE, EDGE_TURN_QUEUED, EDGE_TURN_TAKEN };
enum { EDGE_QUEUES = 2 }; /* of handshakes that have begun, of those that have not */

struct edge_turns {
	pthread_mutex_t lock; /* guards all of it, and the turns of connections; taken last of all locks */
	unsigned running, most;
	size_t queued;
	struct edge_connection *first[EDGE_QUEUES], **last[EDGE_QUEUES];
};

struct edge_connection {
	struct endpoint *endpoint;
	struct edge_profile *profile; /* owned reference */
	int fd;                       /* libmicrohttpd's from GIVEN on; a copy when LINGERING */
	uint32_t number;              /* tells connections apart that had the same descriptor */
	uint64_t cookie;              /* the kernel's number for the socket, from GIVEN on */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	struct peer_key key;

	pthread_mutex_t lock; /* guards from here to the next comment */
	pthread_cond_t told;  /* telling has ended */
	enum edge_state state;
	enum edge_suspension suspended;
	bool watched; /* in the watch thread's epoll set */
	bool dead;    /* shut down by us: no step of its request is called any more */
	bool telling; /* the watch thread is inside request_client_gone */
	bool busy;    /* between a message's last byte and the end of its answer */
	bool served;  /* a request has been answered */
	bool deaf;    /* we have shut its receiving side: what has arrived is still read, then comes the end */
	struct deadline deadline;
	uint64_t due;   /* when it is too late; UINT64_MAX: never */
	uint64_t armed; /* when the wheel asks; 0: not at all. Never later than due, so that most moves are free */
	enum edge_deadline due_for;
	struct exchange *exchange; /* written by the serving thread, under the lock */
	struct chain *chain;       /* what the peer was let in by, a reference; the same */

	/* The turns' (edge-turn.c). */
	enum edge_turn turn;
	unsigned turn_queue;
	struct edge_connection *turn_next, **turn_link;

	/* The serving thread's alone. */
	struct MHD_Connection *mhd;
	gnutls_session_t session;
	struct handshake handshake;
	struct gate *gate;
	struct edge_ahead *ahead;      /* edge-socket.c: read, not yet taken by GnuTLS */
	struct flight *held;           /* edge-socket.c: of a handshake's messages, could not leave yet */
	bool shaken;                   /* the handshake is over but for those */
	bool spoke;                    /* edge-socket.c: something was written since it was last asked */
	bool patient;                  /* edge-socket.c: the kernel waits for more than a few bytes */
	struct edge_unsent *unsent;    /* edge-send.c: could not leave yet */
	const struct response *answer; /* its fields are still to go out */
	size_t staged;                 /* bytes of a head that waits for its body */
	bool body_follows;             /* with the call after the head's */
	enum gate_phase phase;         /* as the deadlines know it */
	struct connection *shared;
	bool last_words;    /* the client may miss our answer or alert if the close resets it */
	size_t thrown_away; /* bytes, while LINGERING (the watch thread's) */
	uint64_t held_up;   /* body time left when the request was suspended; 0: not held up */
};

struct edge_listener {
	struct listener *socket;
	struct edge_profile *profile;
	uint32_t id; /* in epoll events */
};

struct endpoint {
	struct request_service *service; /* borrowed */
	struct stats *stats;
	struct deadline_wheel *wheel;
	struct peer_limit *peers;
	struct identity_cache *identities;
	struct MHD_Daemon *mhd;
	struct tls_store *tls;
	atomic_uint open;
	struct edge_turns turns;
	atomic_uint peak; /* of open, since memory was last given back */
	atomic_bool trim_armed;
	struct deadline trim;
	atomic_bool draining, stopping;
	int epoll, wake; /* the watch thread's set; an eventfd in it */
	int reserve;     /* given up for a moment when descriptors run out */
	pthread_t watcher;
	bool watching;

	pthread_mutex_t lock; /* guards what follows */
	struct edge_listener *listeners;
	size_t listener_count;
	uint32_t next_id;
	int64_t most, most_per_address;
};

/* edge-table.c: connections by descriptor and session, for the whole process. */
int edge_table_init(void);
int edge_table_insert(struct edge_connection *connection); /* -EMFILE: descriptor too high */
void edge_table_set_session(struct edge_connection *connection);
void edge_table_remove(struct edge_connection *connection);
/* Takes it out if it is still there; false: somebody else has taken it out, and frees it. */
bool edge_table_claim(struct edge_connection *connection);
/* The connection a session of ours belongs to; NULL for a session that is somebody else's. Serving thread only. */
struct edge_connection *edge_table_find(gnutls_session_t session);
/* The connection of a descriptor whose session is being served. Serving thread only. */
struct edge_connection *edge_table_of(int fd);
/* True if the descriptor is that of a session of ours. */
bool edge_table_serves(int fd);
/* On the thread that has just been handed the connection. */
struct edge_connection *edge_table_by_descriptor(int fd);
/* Locked, or NULL. */
struct edge_connection *edge_table_lock(int fd, uint32_t number);
/* Calls visit with each connection of the endpoint, locked. */
void edge_table_visit(const struct endpoint *endpoint, void (*visit)(struct edge_connection *connection));
/* Connections whose peer was let in, and by what, from slot *cursor on; moves it. Only those whose proof had ended at
 * `expired`, if that is not 0. Looks at a bounded number of slots; false: there are no more. */
struct edge_admission {
	int fd;
	uint32_t number;
	struct chain *chain;       /* a reference */
	struct tls_policy *policy; /* the same */
	char address[LISTENER_HOST];
};
enum { EDGE_ADMISSIONS = 64 };
bool edge_table_gather(const struct endpoint *endpoint, time_t expired, size_t *cursor,
		       struct edge_admission ret[EDGE_ADMISSIONS], size_t *ret_count);
/* Frees what is left of the endpoint's connections once no thread serves them; their descriptors are closed already. */
void edge_table_clear(const struct endpoint *endpoint);

/* edge-connection.c */
void edge_profile_unref(struct edge_profile **profile);
int edge_connection_new(struct endpoint *endpoint, struct edge_profile *profile, int fd, const struct sockaddr *address,
			struct edge_connection **ret);
/* libmicrohttpd is done with it and will close its descriptor: frees the connection, or lets it linger. */
/* From now on the descriptor is libmicrohttpd's. */
void edge_connection_give(struct edge_connection *connection);
void edge_connection_closed(struct edge_connection **connection);
/* Does not close the descriptor. */
void edge_connection_free(struct edge_connection **connection);
/* The deadline of endpoint.trim: gives what many closed connections leave behind back to the system. */
void edge_connection_trim(struct deadline *deadline);
void edge_count(const struct edge_connection *connection, unsigned counter);
/* Sets the one deadline that counts now. Lock held. */
void edge_expect(struct edge_connection *connection, enum edge_deadline what);
void edge_expect_by(struct edge_connection *connection, enum edge_deadline what, uint64_t at);
void edge_expect_nothing(struct edge_connection *connection);
/* Shuts the socket down and wakes the connection if it is suspended: it ends on its serving thread. Lock held. */
void edge_kill(struct edge_connection *connection);
/* Gives it a moment for what may be on its way if nothing is under way, else until the answer. Lock held. */
void edge_wind_down(struct edge_connection *connection);
/* Suspends the connection on its serving thread. False: it is dead, nothing was done. events: what resumes it. */
bool edge_suspend(struct edge_connection *connection, enum edge_suspension why, uint32_t events);
/* Any thread. Nothing happens unless it is suspended for that reason. */
void edge_resume(struct edge_connection *connection, enum edge_suspension why);
/* True if answers must announce the close. Lock held. */
bool edge_closing(const struct edge_connection *connection);

/* edge-watch.c: the thread that accepts and that waits for suspended connections. */
int edge_watch_start(struct endpoint *endpoint);
void edge_watch_stop(struct endpoint *endpoint);
int edge_watch_listener(struct endpoint *endpoint, struct edge_listener *listener);
/* Before a listener is closed: stops watching it and takes those in its queue, whom the kernel would reset. The queue
 * of a socket that the service manager has too is left to whoever gets it next. The endpoint's lock held. */
void edge_watch_last_call(struct endpoint *endpoint, struct edge_listener *listener);
/* Watches the connection's descriptor once. Lock held. */
void edge_watch(struct edge_connection *connection, uint32_t events);
void edge_unwatch(struct edge_connection *connection);

/* edge-turn.c: how many handshakes are worked on at once. */
void edge_turns_init(struct edge_turns *turns);
void edge_turns_allow(struct edge_turns *turns, size_t threads);
/* True: it is the connection's turn. False: it is queued, and edge_turn_next names it later. Lock held. */
bool edge_turn_take(struct edge_connection *connection);
/* It waits for its peer, is open or closed. Does nothing if it has no turn. */
void edge_turn_give(struct edge_connection *connection);
/* Watch thread: whose turn it is now; false: nobody's. It may be gone when it is looked for. */
bool edge_turn_next(struct endpoint *endpoint, int *ret_fd, uint32_t *ret_number);

/* edge-serve.c: libmicrohttpd's daemon. */
int edge_serve_start(struct endpoint *endpoint, int64_t threads, const struct config_limits *limits,
		     struct error *error);
void edge_serve_stop(struct endpoint *endpoint);
/* Hands the connection and its descriptor over, even on failure. */
int edge_serve_add(struct edge_connection *connection);
void edge_serve_suspend(struct edge_connection *connection);
void edge_serve_resume(struct edge_connection *connection);

/* edge-record.c: the GnuTLS calls that libmicrohttpd makes, seen on their way. */
struct handshake *edge_record_handshake(gnutls_session_t session);
/* Fails if this process's dynamic symbols do not lead libmicrohttpd to us: then nothing would guard it. */
int edge_record_check(struct error *error);
/* The answer is out: the next request may be read. Serving thread. */
void edge_record_next(struct edge_connection *connection);

/* edge-socket.c: between GnuTLS and the socket. */
void edge_socket_attach(struct edge_connection *connection);
/* Before a handshake waits for its peer, and before it goes on. */
void edge_socket_wait(struct edge_connection *connection);
void edge_socket_wake(struct edge_connection *connection);
/* Before each call of GnuTLS that may read. */
void edge_socket_begin(void);
/* After it: true if it got all there was. Only then is its "again" to be believed. */
bool edge_socket_drained(void);
/* After each call of GnuTLS that may have read: keeps what it did not take. -ENOMEM: bytes are lost, end it. */
int edge_socket_settle(struct edge_connection *connection);

/* edge-send.c: answers on their way out. Serving thread. */
/* Before the answer is queued. It must live until the exchange ends. body_follows: it is whole and will be sent. */
void edge_send_prepare(struct edge_connection *connection, const struct response *answer, bool body_follows);
/* The exchange is over. */
void edge_send_forget(struct edge_connection *connection);

/* edge-exchange.c: one request and its answer. */
void *edge_exchange_begin(void *endpoint, const char *target, struct MHD_Connection *mhd);
int edge_exchange_step(struct MHD_Connection *mhd, const char *data, size_t *length, void **exchange);
void edge_exchange_end(struct MHD_Connection *mhd, void **exchange, bool sent);
/* The client closed while the request was suspended. Called with the connection locked; unlocks it meanwhile. */
void edge_exchange_client_gone(struct edge_connection *connection);
