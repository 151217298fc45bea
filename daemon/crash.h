/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* crash.h - the last words of the process: which plugin, instance and request a fatal signal hit, and whose memory it
 * was.
 *
 * The report is one line on stderr, made on the thread's alternate stack without allocating or locking; then the signal
 * takes its course, core dump included. A sanitizer's own report stands instead of it where one is compiled in.
 *
 * Threads: crash_setup once, early; the others any. Owns: the alternate stacks it made.
 */

/* Takes SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT, and gives the calling thread an alternate stack. Negative errno.
 */
int crash_setup(void);
/* Gives the calling thread an alternate stack if it has none and crash_setup was called; and takes it away. Threads
 * that enter a space have these done for them. */
void crash_thread_begin(void);
void crash_thread_end(void);
/* The request the calling thread is busy with, for the report: its route's name and its path. Borrowed until the next
 * call; NULL: none. */
void crash_note(const char *route, const char *path);
const char *crash_noted_route(void);
