/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* nonces-place.h - a folder with the nonces of one plugin in it, and the clock of a day in 2030.
 *
 * Threads: asking, any; the rest, one. Owns: the folder, from place_setup to place_teardown, which finds nothing but
 * the file in it.
 */
#include "nonces.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NOON = 1893499200 /* 2030-01-01 12:00:00 UTC */, WINDOW = 300, SKEW = 30, SMALL = 64, ROOM = 128 };

extern const struct nonces_settings nonces_usual, nonces_none;
extern const struct nonces_time nonces_noon; /* booted an hour ago */

struct place {
	char root[64], file[80], draft[96];
	struct nonces *nonces;
};

int place_setup(void **state);
int place_teardown(void **state);
void place_open(struct place *place, const struct nonces_settings *settings, const struct nonces_time *time);
void place_reopen(struct place *place, const struct nonces_settings *settings, const struct nonces_time *time);
int place_accept(struct place *place, unsigned number, int64_t signed_at, int64_t now);
/* Leaves the file as a process that dies leaves it. */
void place_lose(struct place *place);
void place_written_at(const struct place *place, int64_t seconds);
struct nonces_report place_report(struct place *place, int64_t now);
