/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* screen.h - a terminal taken over for a while: single keys, a page of its own, and everything given back at the end.
 *
 * While it is open the signals that end a program, that stop it and that tell of a new size are blocked and come in
 * through screen_wait, so that no end leaves the terminal as nobody wants it.
 *
 * Threads: main thread, one screen a process. Owns: the terminal's settings as they were.
 */
#include <stddef.h>
#include <stdint.h>

struct screen;

enum screen_key {
	SCREEN_TIMEOUT = -1,
	SCREEN_REDRAW = -2, /* another size, or back from being stopped */
	SCREEN_END = -3,    /* a signal or the terminal's end */
	SCREEN_UP = 0x100,
	SCREEN_DOWN,
	SCREEN_LEFT,
	SCREEN_RIGHT,
	SCREEN_PAGE_UP,
	SCREEN_PAGE_DOWN,
	SCREEN_OTHER, /* a key nobody needs here */
};

/* -ENOTTY: output is no terminal. Input that is none gives no keys. */
int screen_open(int input, int output, struct screen **ret);
/* Gives the terminal back and returns the signal that ended it, which the caller should die of; 0: none. Accepts NULL.
 */
int screen_close(struct screen **screen);
void screen_size(const struct screen *screen, size_t *ret_columns, size_t *ret_lines);
/* Shows a page. Lines end with "\n". */
void screen_show(struct screen *screen, const char *page);
/* A key (a byte or enum screen_key). deadline: microseconds of CLOCK_MONOTONIC. */
int screen_wait(struct screen *screen, uint64_t deadline);
