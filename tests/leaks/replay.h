/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* replay.h - the record of a run's verdict: kept as a file, and judged again from it.
 *
 * Threads: one. Owns: nothing.
 */
#include "inspector.h"
#include "stage.h"

#include <stdbool.h>

/* Writes the record as text, reads it back and judges it. False, and a sentence on stderr: the verdict is another one.
 */
bool replay_agrees(struct inspector *inspector, struct stage *stage);
/* Into a file; a sentence on stderr if it cannot be. */
void replay_save(struct inspector *inspector, struct stage *stage, const char *path);
