/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* clang-format off */
/* record.h - all that a verdict is made of as a text file, so that it can be judged again elsewhere.
 *
 * Lines of words between single blanks; numbers are decimal, sites hexadecimal, fractions C99 hexadecimal ("0x1.8p+1"),
 * so that what is read is exactly what was written. In this order:
 *
 *   mtlsd-record 1
 *   settings MIN_RATE MIN_GROWTH WARM_UP_TIME WARM_UP_REQUESTS
 *   plugin HARD_LIMIT evict|no-evict
 *   probes DONE REJECTED running|idle confirmed|open CLASS RESIDUAL RESIDUAL REQUESTS
 *          OBJECTS SURVIVED WALK_AGE RATE BEGIN_RATE REJECTED_RATE AXIS separable|not-separable  (one line)
 *   intervals EXPOSURE EXPOSURE             six counts each, in the order of enum signals_axis
 *   began TIME EXPOSURE
 *   last EXPOSURE LIVE OBJECTS ARENA FOREIGN RESIDENT LARGEST INFLIGHT CONNECTIONS
 *   scale NUMBER BLOCKS KEPT                each that has a block; then those kept, oldest first:
 *   block EXPOSURE FLOOR FOREIGN OBJECTS LARGEST RESIDENT
 *   moments NUMBER COUNT XX... XY... YY     those with a count; the upper triangle by rows
 *   walk newest|earlier EPOCH COUNT         none, one or both; then its sites:
 *   site 0xADDRESS own|foreign BYTES OBJECTS [COLUMN:BYTES...] [= NAME]
 *   end
 *
 * Threads: any. Owns: struct record owns what its input points to.
 */
/* clang-format on */
#include "error.h"
#include "verdict.h"

enum { RECORD_SITES = 256 /* a walk */, RECORD_NAME = 200 };

struct record;

/* name: what to call a site, NULL or a NULL result: nothing. *ret is freed by the caller. -ENOMEM. */
int record_write(const struct verdict_input *input, const char *(*name)(const struct verdict_site *site, void *ctx),
		 void *ctx, char **ret, size_t *ret_length);
/* -EINVAL with line and reason, -ENOMEM. */
int record_read(const char *text, size_t length, struct record **ret, struct error *e);
const struct verdict_input *record_input(const struct record *record);
/* NULL: it was written without a name. */
const char *record_site_name(const struct record *record, uintptr_t site, bool foreign);
void record_free(struct record **record); /* accepts NULL */
