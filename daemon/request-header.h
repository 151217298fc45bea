/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* request-header.h - one field of a request's head.
 *
 * Threads: pure. Owns: nothing.
 */

struct request_header {
	const char *name, *value;
};
