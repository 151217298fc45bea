/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* scope.h - in whose memory the calling thread allocates: the daemon's, or a plugin instance's space.
 *
 * A *space* is what one instance allocates in: its own heap (calls whose return address lies in the instance's image),
 * its plugin's foreign heap (what libraries allocate on its behalf) and the image range that tells them apart.
 * Entering a space makes the interposed malloc family serve from it; leaving restores what was before, so that frames
 * nest: callback -> host service (scope_enter_daemon) -> release hook (scope_enter) -> ...
 *
 * A *booking* counts what one request allocates in one space and does not free: its escapes.
 *
 * Threads: enter/leave pairs on one thread; a space may be entered by many threads at once; a booking may be entered by
 * several threads one after another (and frees on any thread are seen), and is opened and closed once.
 * Owns: scope_space owns the own heap; the foreign heap belongs to the plugin and outlives the space.
 */
#include "heap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scope_space;
struct scope_booking;

/* What scope_enter saved; lives on the caller's stack. */
struct scope_frame {
	void *saved[4];
};

/* True if the interposed layer is compiled in and active; false under ASan, TSan, or with --disable-heap-layer: then
 * every call below works, but plugins allocate from the C library and every count is 0. */
bool scope_active(void);

/* plugin: its name, copied. instance: its number. foreign: not owned. limits: bytes, 0 = none.
 * -ENOMEM when the reserved address range is used up. */
int scope_space_new(const char *plugin, uint64_t instance, struct heap *foreign, const struct heap_limits *limits,
		    struct scope_space **ret);
/* The image's address range, known once dlopen returned; while unknown (constructors run inside dlopen) calls are told
 * apart by _dl_find_object. */
void scope_space_set_image(struct scope_space *space, uintptr_t start, uintptr_t end);
void scope_space_set_limits(struct scope_space *space, const struct heap_limits *limits);
/* For tests: the nth allocation of the instance from now on (its own heap's, arenas included) fails once with ENOMEM,
 * as if memory were out; 0: none does. Slows the space down while armed. No thread but the caller may be inside. */
void scope_space_fail_nth(struct scope_space *space, uint64_t nth);
/* True until the allocation that is to fail has failed. */
bool scope_space_fail_pending(const struct scope_space *space);
struct heap *scope_space_own(const struct scope_space *space);
struct heap *scope_space_foreign(const struct scope_space *space);
/* Threads the instance started (pthread_create, thrd_create) that have not ended yet. */
unsigned scope_space_threads(const struct scope_space *space);
/* Destroys the own heap: its pages go back to the kernel, its range is quarantined. No thread may be inside. */
void scope_space_free(struct scope_space **space);

/* booking: NULL outside requests. */
void scope_enter(struct scope_frame *frame, struct scope_space *space, struct scope_booking *booking);
void scope_enter_daemon(struct scope_frame *frame);
void scope_leave(struct scope_frame *frame);

/* A booking is opened when a request enters an instance and closed when it ends. Opening advances the space's epoch
 * (its request clock) and tags what is allocated under it. The struct comes from daemon memory. */
int scope_booking_open(struct scope_space *space, struct scope_booking **ret);
/* The request clock when it was opened. */
uint32_t scope_booking_epoch(const struct scope_booking *booking);
/* Bytes and blocks allocated under the booking that are still live, and bytes by which it made blocks of earlier
 * requests grow; books them by route, status class (1..5 for
 * 1xx..5xx, 0 for no answer) and site in the space's escape table. route: index below 65535. */
void scope_booking_close(struct scope_booking **booking, unsigned route, unsigned status_class, uint64_t *ret_bytes,
			 uint64_t *ret_blocks);

/* One row of a space's escape table (cumulative since the space was made). */
struct scope_escape {
	uintptr_t site; /* call address; 0: beyond the table's bound */
	uint16_t route;
	uint8_t status_class;
	uint64_t bytes, blocks, requests; /* requests: how many had an escape in this row */
};
/* Calls visit for every row. No lock an allocation takes is held. */
void scope_escapes(const struct scope_space *space, void (*visit)(const struct scope_escape *, void *), void *ctx);

/* The request arena: memory of the instance's own heap that lives until the request ends; its bytes are counted apart
 * (heap_usage.arena_bytes), never as escapes. Returns NULL with ENOMEM at the hard limit. 16-byte aligned. */
struct scope_arena;
void *scope_arena_alloc(struct scope_arena **arena, struct scope_space *space, size_t size);
/* The same, booked to the given call address: for host services that know their caller in the plugin. */
void *scope_arena_alloc_at(struct scope_arena **arena, struct scope_space *space, size_t size, uintptr_t site);
void scope_arena_free(struct scope_arena **arena);
