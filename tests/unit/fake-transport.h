/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* fake-transport.h - what stands around a request where there is no network: a transport that only counts, and a
 * configuration and an identity that nobody counts.
 *
 * Links in place of config.c and identity.c: config_ref, config_unref, identity_ref and identity_unref do nothing but
 * what their callers see.
 *
 * Threads: any. Owns: nothing; a fake transport belongs to the test, its lock and signal until fake_transport_clear.
 */
#include "request.h"

#include <pthread.h>

struct fake_transport {
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t resumed_signal;
	int suspended, resumed;
};

extern const struct request_transport fake_transport_ops;

void fake_transport_set_up(struct fake_transport *transport);
void fake_transport_clear(struct fake_transport *transport);
/* Waits until each suspend has had its resume. */
void fake_transport_wait(struct fake_transport *transport);
/* True if a resume is still to come. */
bool fake_transport_is_suspended(struct fake_transport *transport);
