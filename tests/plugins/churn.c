/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* churn - allocates and frees on every request, as a handler does that builds its answer out of strings and lists.
 *
 * `blocks` blocks of 16 to 1,040 bytes a request, written to, all freed before the answer goes out.
 */
#include "fixture.h"

#include <stdlib.h>

enum { BLOCKS_MOST = 1024 };

struct node {
	struct node *next;
	char text[];
};

static const mtlsd_host *host;
static unsigned blocks;

static const mtlsd_option options[] = {
	{.name = "blocks", .type = MTLSD_OPTION_INT, .min = 0, .max = BLOCKS_MOST, .fallback = "20",
	 .help = "Blocks allocated and freed a request."},
	{.name = NULL},
};

static int
churn_init(const mtlsd_host *given, mtlsd_instance *instance, const mtlsd_config *config, void **user,
	   char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	*user = instance;
	blocks = (unsigned) host->config_int(config, "blocks");
	return 0;
}

/* Sizes grow by turns: many small ones, a few large ones, the same for every request. */
static size_t
text_size(unsigned i)
{
	return (size_t) 8 << i % 8;
}

static mtlsd_action
churn_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	struct node *list = NULL;
	size_t total = 0;

	for (unsigned i = 0; i < blocks; i++) {
		struct node *node = malloc(sizeof(*node) + text_size(i));
		if (!node)
			break;
		memset(node->text, 'c', text_size(i));
		node->next = list;
		list = node;
	}
	while (list) {
		struct node *next = list->next;
		total += (unsigned char) list->text[0];
		free(list);
		list = next;
	}
	return fixture_answer(host, request, 200, total == blocks * (size_t) 'c' ? "churned\n" : "out of memory\n");
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("churn", "1.0", "allocates and frees on every request"),
	.flags = MTLSD_CONCURRENT,
	.options = options,
	.init = churn_init,
	.request = churn_request,
};
