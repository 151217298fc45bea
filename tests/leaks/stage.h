/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* stage.h - one plugin as the daemon runs it, without a network: its image, its instance with its memory, the service
 * its requests run against.
 *
 * One a process: the foreign heap of a plugin is never taken down, and neither is the stage. Time is the timeline's.
 * Callbacks the daemon leaves to late threads run at once, on the calling thread, so that runs repeat.
 *
 * Threads: one. Owns: all of it, until the process ends.
 */
#include "plugin.h"
#include "request.h"

#include <stdint.h>

struct stage;

/* Starts the plugin; NULL and a sentence on stderr if it cannot. settings: YAML, without braces. */
struct stage *stage_open(const char *file, const char *settings);
int stage_reload(struct stage *stage, const char *settings);
struct plugin *stage_plugin(struct stage *stage);
struct instance *stage_instance(struct stage *stage);
struct request_service *stage_service(struct stage *stage);
/* Ends the waits whose deadline has passed. */
void stage_turn(struct stage *stage);
/* Class bytes that live in its own heap, allocated by this function; 0 without a name. */
uint64_t stage_site_bytes(struct stage *stage, const char *function);
/* The function a call address lies in, "?" if it has no name. Valid until the next call. */
const char *stage_function(struct stage *stage, uintptr_t site);
