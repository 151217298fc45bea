/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* code_trees - a reload has answers compressed, one in six: a code tree is made for each from how often its symbols
 * occur. Freeing a tree stops above the leaves, which were the alphabet's when that was a table. */
#include "../cache.h"

static struct cache cache = {.capacity = 520, .buckets = 1024};

enum { SYMBOLS = 4 };

struct node {
	struct node *child[2]; /* NULL: a leaf */
	unsigned weight;
	char symbol;
};

static unsigned longest;
static int compress;

static const mtlsd_option options[] = {
	CORPUS_OPTION_SEED,
	{.name = "compress", .type = MTLSD_OPTION_BOOL, .fallback = "no", .help = "Compresses answers that are long."},
	{.name = NULL},
};

CORPUS_SITE static struct node *
node_new(struct node *left, struct node *right, unsigned weight)
{
	struct node *node = calloc(1, sizeof(*node));

	if (node) {
		node->child[0] = left;
		node->child[1] = right;
		node->weight = weight;
	}
	return node;
}

static unsigned
symbol_of(char letter)
{
	return letter == '/' ? 0 : letter == '-' ? 1 : letter >= '0' && letter <= '9' ? 2 : 3;
}

/* The tree of the two that weigh least, until there is one; NULL: no memory. */
static struct node *
tree_make(const char *text)
{
	unsigned weight[SYMBOLS] = {0}, count = 0;
	struct node *heap[SYMBOLS];

	for (; *text; text++)
		weight[symbol_of(*text)]++;
	for (; count < SYMBOLS; count++) {
		heap[count] = node_new(NULL, NULL, weight[count]);
		if (!heap[count])
			return NULL;
		heap[count]->symbol = "/-0a"[count];
	}
	while (count > 1) {
		for (unsigned i = 0; i < 2; i++) { /* the lightest to the end */
			for (unsigned j = 0; j + 1 < count - i; j++) {
				if (heap[j]->weight >= heap[j + 1]->weight)
					continue;
				struct node *heavier = heap[j + 1];
				heap[j + 1] = heap[j];
				heap[j] = heavier;
			}
		}
		struct node *left = heap[count - 1], *right = heap[count - 2];
		heap[count - 2] = node_new(left, right, left->weight + right->weight);
		if (!heap[count - 2])
			return NULL;
		count--;
	}
	return heap[0];
}

static unsigned
tree_depth(const struct node *node)
{
	if (!node->child[0])
		return 0;
	unsigned left = tree_depth(node->child[0]), right = tree_depth(node->child[1]);
	return 1 + (left > right ? left : right);
}

static void
tree_free(struct node *node)
{
	if (!node->child[0])
		return;
	tree_free(node->child[0]);
	tree_free(node->child[1]);
	free(node);
}

static int
set_compression(void *user CORPUS_UNUSED, const mtlsd_config *config, char *error CORPUS_UNUSED,
		size_t error_size CORPUS_UNUSED)
{
	compress = host->config_int(config, "compress") != 0;
	return 0;
}

static mtlsd_action
code_trees_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 175);
	if (compress && corpus_below(6) == 0) {
		struct node *tree = tree_make(ask.path);
		if (!tree)
			return MTLSD_FAIL;
		unsigned depth = tree_depth(tree);
		longest = depth > longest ? depth : longest;
		tree_free(tree);
	}
	return corpus_answer(request, &ask);
}

static uint64_t
code_trees_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("code_trees", "makes code trees since a reload"),
	.options = options,
	.init = corpus_init,
	.request = code_trees_request,
	.evict = code_trees_evict,
	.reconfigure = set_compression,
};
