/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rendering.h"

#include "pace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RENDERING_FIRST = 4096 };

struct rendering {
	char *text;
	size_t length, room, most;
	int result;
};

static int
rendering_put(const char *text, size_t length, void *ctx)
{
	struct rendering *rendering = ctx;

	pace();
	if (length > rendering->most - rendering->length) {
		rendering->result = -ENOBUFS;
		return -1;
	}
	if (length >= rendering->room - rendering->length) { /* one more for the end */
		size_t room = rendering->room != 0 ? rendering->room : RENDERING_FIRST;
		while (length >= room - rendering->length)
			room *= 2;
		char *larger = realloc(rendering->text, room);
		if (larger == NULL)
			return -1;
		rendering->text = larger;
		rendering->room = room;
	}
	memcpy(rendering->text + rendering->length, text, length);
	rendering->length += length;
	return 0;
}

int
rendering_make(const json_t *document, size_t flags, const char *end, size_t most, char **ret, size_t *ret_length)
{
	struct rendering rendering = {.most = most};
	int r = json_dump_callback(document, rendering_put, &rendering, flags);

	if (r == 0)
		r = rendering_put(end, strlen(end), &rendering);
	/* jansson has no word for what failed: if the text did not become too long, it was memory. */
	if (r < 0) {
		free(rendering.text);
		return rendering.result < 0 ? rendering.result : -ENOMEM;
	}
	rendering.text[rendering.length] = '\0';
	*ret = rendering.text;
	*ret_length = rendering.length;
	return 0;
}
