/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* handover.h - descriptors that outlive the process: passed by the service manager, and kept in its store.
 *
 * Source: sd_listen_fds(3), sd_notify(3) (FDSTORE=1), systemd.service(5) (FileDescriptorStoreMax=). What waits in the
 * queue of a socket that is kept is served by whoever is started next: a restart refuses nobody. State is kept in
 * memory files: it survives a restart and never lies on a disk.
 *
 * There is a store if $FDSTORE says so: systemd sets it since 254, mtlsd.service itself for those before.
 *
 * Threads: main thread. Owns: the descriptors the process was started with; those it returns are the caller's.
 */
#include <stdbool.h>
#include <sys/socket.h>

/* The manager keeps descriptors for us. */
bool handover_available(void);

/* A copy of what the manager passed under a name; -ENOENT: nothing. It may be asked for again. */
int handover_find_named(const char *name);
/* A listening stream socket that was passed and is bound to that address; -ENOENT: none. One that comes from the store
 * (*ret_kept) is handed out once. */
int handover_find(const struct sockaddr *address, socklen_t length, bool *ret_kept);
/* What the run before kept under this name, handed out once; -ENOENT: nothing. */
int handover_take(const char *name);

/* Puts a copy into the store; what names it is for handover_forget. */
int handover_keep(const char *name, int fd);
void handover_forget(const char *name);
/* Gives up sockets that came from the store and nobody asked for, and waits until the manager has closed them. Returns
 * how many there were. */
unsigned handover_prune(void);
/* Gives up the rest that nobody asked for. */
void handover_prune_state(void);
