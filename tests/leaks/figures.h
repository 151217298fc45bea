/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* figures.h - the numbers of a benchmark, one a line: "figure NAME VALUE UNIT".
 *
 * Threads: one. Owns: nothing.
 */
#include "run.h"

/* Of the families of one part: rates of all of them, latencies of those that stand for a bar. The sealed part is what
 * figures call "heldout". A figure nothing was run for is left out. */
void figures_print(const struct run_order *orders, const struct run_result *results, size_t count,
		   enum label_part part);
