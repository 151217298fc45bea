/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* identity-fixture.h - one certificate read in both ways, which must not differ.
 *
 * Threads: any. Owns: nothing.
 */
#include <stdbool.h>
#include <stddef.h>

/* Aborts if they do. True: it is plain, so that there was something to compare. */
bool identity_compare(const void *der, size_t size);
