/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hazard_list - requests read rules while others replace them, and say which they read; what was replaced waits until
 * there are some two thousand, and of those goes what nobody says he reads. */
#include "../corpus.h"

enum { RULES = 300, READERS = 128 };

struct rule {
	struct rule *next; /* among those replaced */
	uint64_t version;
	char text[264];
};

static struct rule *rules[RULES], *retired;
static struct rule *hazards[READERS];
static size_t waiting, enough;
static uint64_t versions;

CORPUS_SITE static struct rule *
rule_new(void)
{
	struct rule *rule = calloc(1, sizeof(*rule));

	if (rule)
		rule->version = ++versions;
	return rule;
}

static int
rule_is_read(const struct rule *rule)
{
	for (size_t i = 0; i < READERS; i++) {
		if (hazards[i] == rule)
			return 1;
	}
	return 0;
}

static uint64_t
retired_scan(void)
{
	uint64_t freed = 0;

	for (struct rule **place = &retired, *rule; (rule = *place);) {
		if (rule_is_read(rule)) {
			place = &rule->next;
			continue;
		}
		*place = rule->next;
		free(rule);
		waiting--;
		freed += sizeof(*rule);
	}
	return freed;
}

static void
rule_replace(size_t which)
{
	struct rule *rule = rule_new();

	if (!rule)
		return;
	if (rules[which]) {
		rules[which]->next = retired;
		retired = rules[which];
		waiting++;
	}
	rules[which] = rule;
	if (waiting >= enough)
		(void) retired_scan();
}

static void
hazard_clear(void *data)
{
	*(struct rule **) data = NULL;
}

static int
hazard_list_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	enough = corpus_vary(2000, 1);
	return 0;
}

static mtlsd_action
hazard_list_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;
	size_t free_place = 0;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	if (!rules[ask.key % RULES])
		rule_replace(ask.key % RULES);
	while (free_place < READERS && hazards[free_place])
		free_place++;
	if (free_place < READERS && host->set_data(request, &hazards[free_place], hazard_clear) == 0)
		hazards[free_place] = rules[ask.key % RULES];
	if (ask.key % 3 == 0)
		rule_replace((size_t) corpus_below(RULES));
	return corpus_answer(request, &ask);
}

static uint64_t
hazard_list_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return retired_scan();
}

static void
hazard_list_fini(void *user CORPUS_UNUSED)
{
	(void) retired_scan();
	for (size_t i = 0; i < RULES; i++)
		free(rules[i]);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("hazard_list", "frees what was replaced when nobody says he reads it"),
	.options = corpus_options,
	.init = hazard_list_init,
	.request = hazard_list_request,
	.evict = hazard_list_evict,
	.fini = hazard_list_fini,
};
