/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* network.h - is an address in a network: "192.0.2.0/24", "2001:db8::/32", or one address.
 *
 * IPv4 addresses that came over an IPv6 socket (::ffff:192.0.2.1) are IPv4 here. Source: RFC 4632, RFC 4291.
 *
 * Threads: any. Owns: nothing.
 */
#include <stdbool.h>

/* What is wrong with a network's text, as the end of a sentence; NULL: nothing. */
const char *network_trouble(const char *network);
/* False for texts that are none. */
bool network_holds(const char *network, const char *address);
