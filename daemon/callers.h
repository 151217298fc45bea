/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* callers.h - who called the functions that allocate: a site's exact bytes, divided by the callers its samples saw.
 *
 * The caller is the next frame of the plugin's own image above the site that is no allocation wrapper by its name, so
 * that xmalloc's bytes go to parse_header. A site without live samples has no callers.
 *
 * Threads: any. Owns: nothing.
 */
#include "supervisor.h"

struct callers_row {
	size_t site;     /* in dump.sites */
	uint32_t caller; /* in dump.places */
	bool known;      /* false: no frame above; the caller is the site itself */
	uint64_t bytes;
};

/* xmalloc, my_strdup, operator new, …: what is more telling is who called it. */
bool callers_is_wrapper(const char *function);
/* The rows of the first `sites` sites: of all that have samples, or only of those a reader would ask about: wrappers
 * and functions with several callers. Most bytes first within a site. *ret is the caller's to free. */
int callers_find(const struct supervisor_dump *dump, size_t sites, bool all, struct callers_row **ret,
		 size_t *ret_count);
