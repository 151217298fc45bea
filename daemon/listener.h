/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* listener.h - one listening stream socket: opened, bound or inherited.
 *
 * Addresses are numeric ("192.0.2.1:443", "[::1]:443", port 0: any), never names: a listener must not depend on a
 * resolver. IPv6 sockets take IPv6 only. "inherited:NAME" is a socket the service manager passed under that name. One
 * that was kept from the run before is taken up where it is bound to the address.
 *
 * Threads: any. Owns: its descriptor.
 */
#include "error.h"

#include <stdbool.h>
#include <sys/socket.h>

struct listener;

int listener_open(const char *address, int backlog, struct listener **ret, struct error *error);
int listener_fd(const struct listener *listener);
bool listener_inherited(const struct listener *listener);
/* As configured: two configurations mean the same socket if this is equal. */
const char *listener_configured(const struct listener *listener);
/* As bound, with the real port. */
const char *listener_bound(const struct listener *listener);
/* Leaves a copy with the service manager, if it takes one (handover.h), and takes it back. Once is enough. */
void listener_keep(struct listener *listener);
void listener_forget(struct listener *listener);
/* The service manager has the socket too: what waits in its queue is not lost when we close ours. */
bool listener_shared(const struct listener *listener);
void listener_close(struct listener **listener); /* accepts NULL */

enum { LISTENER_ADDRESS = 80, LISTENER_HOST = 64 };
/* "192.0.2.1:443" or "[2001:db8::1]:443". */
void listener_format(const struct sockaddr *address, char text[static LISTENER_ADDRESS]);
/* The host without brackets, and the port; IPv4 addresses inside IPv6 ones are shown as IPv4. */
void listener_format_host(const struct sockaddr *address, char host[static LISTENER_HOST], unsigned short *ret_port);
