/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* introspect.h - what org.varlink.service tells: who we are, and the text of our interfaces, made from the table.
 *
 * Source: varlink.org, "Interface Definition" and "Service Interface".
 *
 * Threads: any. Owns: nothing.
 */
#include "command.h"

extern const char introspect_interface[]; /* "org.varlink.service" */

/* Reply of GetInfo. NULL when out of memory. */
json_t *introspect_info(void);
/* The text of an interface, to be freed. -ENOENT. */
int introspect_describe(const char *interface, char **ret);
