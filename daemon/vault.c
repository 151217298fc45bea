/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct scope_space *vault; /* written once; NULL: there is none */

/* The space's own heap serves code of an image, and there is no image: all comes from the one for libraries. */
static void
vault_make(void)
{
	struct heap *heap = NULL;
	struct scope_space *space = NULL;
	if (!scope_active() || heap_new("keys", NULL, false, &heap) < 0)
		return;
	if (heap_hide(heap) < 0 || scope_space_new("keys", 0, heap, NULL, &space) < 0) {
		heap_free(&heap); /* it has served nobody */
		return;
	}
	scope_space_set_image(space, 0, 1);
	vault = space;
}

void
vault_enter(struct scope_frame *frame)
{
	(void) pthread_once(&once, vault_make);
	if (vault)
		scope_enter(frame, vault, NULL);
	else
		scope_enter_daemon(frame);
}

void
vault_leave(struct scope_frame *frame)
{
	scope_leave(frame);
}
