/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* figures.h - the numbers of a benchmark, one a line: "figure NAME VALUE UNIT".
 *
 * Threads: one. Owns: nothing.
 */
#include "run.h"

/* Held-out families for the rates; every_request and one_byte for the latencies, wherever they stand. A figure nothing
 * was run for is left out. */
void figures_print(const struct run_order *orders, const struct run_result *results, size_t count);
