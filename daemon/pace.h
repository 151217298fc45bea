/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* pace.h - how a thread that only reads gives way to those who serve.
 *
 * Priorities do not do it: a woken thread waits for the end of the slice of whoever has the core, and across control
 * groups (or the kernel's autogroups) a nice value says nothing; where it does, a thread that holds what others wait
 * for must not be slow. So a paced thread works for a moment and then, if any other thread of the process has worked
 * meanwhile, sleeps for a longer one, where it holds nothing: what it takes from a core is a share, in pieces too short
 * to be felt. While nobody is served it goes on at once.
 *
 * Threads: each paces itself. Owns: nothing.
 */

/* From here on this thread gives way at each pace(); for its whole life. */
void pace_begin(void);
/* To be called in long loops: gives way if this thread is paced and has worked for its moment. Costs a reading of the
 * clock in a paced thread, next to nothing in others. Never call it with a lock held. */
void pace(void);
