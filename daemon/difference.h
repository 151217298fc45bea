/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* difference.h - a dump against one that was saved earlier, site by site.
 *
 * Sites are the same if scope, function, file and line are, or module and offset where no line is known; so a saved
 * dump is good for later instances and for later starts of the daemon.
 *
 * Threads: any. Owns: nothing.
 */
#include "error.h"

#include <jansson.h>

/* now, base: replies of Dump with all of their sites. *ret: {instance, epoch, live_bytes} of the base. *ret_changes: an
 * array of sites with bytes_change and objects_change, the greatest growth first, without those that did not change.
 * -EINVAL with a sentence if base is no such dump. */
int difference_make(const json_t *now, const json_t *base, json_t **ret, json_t **ret_changes, struct error *error);
