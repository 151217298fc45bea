/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client_windows - what a client did in its last sixteen spells of ten seconds, in an array sorted by fingerprint;
 * there are some hundred and sixty, and who was away longest makes room for a new client. */
#include "../corpus.h"

enum { MOST = 220, SPELLS = 16, SPELL = 10000000 };

struct window {
	uint64_t fingerprint, spell;
	struct {
		unsigned requests, errors;
		uint64_t last_key;
	} spells[SPELLS];
};

static struct window *windows[MOST];
static size_t count, room;

static size_t
window_place(uint64_t fingerprint)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (windows[middle]->fingerprint < fingerprint)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
window_forget(void)
{
	size_t away = 0;

	for (size_t i = 1; i < count; i++) {
		if (windows[i]->spell < windows[away]->spell)
			away = i;
	}
	free(windows[away]);
	count--;
	memmove(&windows[away], &windows[away + 1], (count - away) * sizeof(windows[0]));
}

CORPUS_SITE static struct window *
window_open(uint64_t fingerprint)
{
	struct window *window = calloc(1, sizeof(*window));

	if (!window)
		return NULL;
	if (count >= room)
		window_forget();
	size_t at = window_place(fingerprint);
	memmove(&windows[at + 1], &windows[at], (count - at) * sizeof(windows[0]));
	windows[at] = window;
	count++;
	window->fingerprint = fingerprint;
	return window;
}

static void
window_count(struct window *window, const struct corpus_ask *ask, uint64_t spell)
{
	if (spell - window->spell > SPELLS)
		window->spell = spell - SPELLS; /* none of them is left */
	while (window->spell < spell)
		memset(&window->spells[++window->spell % SPELLS], 0, sizeof(window->spells[0]));
	window->spells[spell % SPELLS].requests++;
	window->spells[spell % SPELLS].errors += ask->error ? 1 : 0;
	window->spells[spell % SPELLS].last_key = ask->key;
}

static int
client_windows_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		    void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	room = corpus_vary(160, 1);
	return 0;
}

static mtlsd_action
client_windows_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	uint64_t fingerprint = corpus_hash(host->identity(request, MTLSD_ID_SPKI_SHA256, 0));
	size_t at = window_place(fingerprint);
	struct window *window = at < count ? windows[at] : NULL;
	if (!window || window->fingerprint != fingerprint)
		window = window_open(fingerprint);
	if (!window)
		return MTLSD_FAIL;
	window_count(window, &ask, corpus_now() / SPELL);
	return corpus_answer(request, &ask);
}

static uint64_t
client_windows_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* who was over the limit would be let in again */
}

static void
client_windows_fini(void *user CORPUS_UNUSED)
{
	while (count > 0)
		free(windows[--count]);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("client_windows", "knows what a bounded number of clients did of late"),
	.options = corpus_options,
	.init = client_windows_init,
	.request = client_windows_request,
	.evict = client_windows_evict,
	.fini = client_windows_fini,
};
