/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* tls-watch.h - tells when files change, however they are replaced: written, renamed over, or by a symlink on their
 * way.
 *
 * Not files but the folders on the way to them are watched, every symlink's among them: certbot moves a link,
 * Kubernetes the link of a whole folder. Changes that come together are told once, when it has been quiet for a moment.
 *
 * Threads: the event loop's. Owns: an inotify descriptor, its event sources.
 */
#include "error.h"

#include <systemd/sd-event.h>

struct tls_watch;

/* quiet: microseconds without a further change until one is told; at most ten times as long after the first. */
int tls_watch_new(sd_event *event, uint64_t quiet, void (*changed)(void *arg), void *arg, struct tls_watch **ret);
/* The files from now on, absolute paths, copied; they need not exist. A change since an earlier call may still be told.
 * A negative errno: some folder is not watched (too many watches); the others are. */
int tls_watch_set(struct tls_watch *watch, const char *const *paths, size_t count);
/* How many folders. */
size_t tls_watch_folders(const struct tls_watch *watch);
void tls_watch_free(struct tls_watch **watch);
