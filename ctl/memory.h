/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* memory.h - no memory is the end of mtlsctl, said in a sentence.
 *
 * mtlsctl lives for one command, and most of what it asks for is asked for by libraries, which take a missing block
 * for an empty text or follow it. So its malloc never returns without one: the process ends, with exit code 1. Under a
 * sanitizer, which brings its own malloc, none of this is there.
 *
 * Threads: any. Owns: nothing.
 */

/* What else is to be done at that end, or NULL; it must not allocate. */
void memory_at_end(void (*last)(void));
