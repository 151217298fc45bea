/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mixed_lives - every request makes a dozen notes that live for forty requests, among them one that takes a place
 * in a register of seven thousand, which is full from the start; long and short lives lie on the same pages, and the
 * short ones are of another size every few thousand requests. */
#include "../corpus.h"

enum { REGISTER = 7000, RECENT = 40, NOTES = 12, SIZES = 5 };

static void *entries[REGISTER], *recent[RECENT][NOTES];
static uint64_t requests, spell;

CORPUS_SITE static void *
note_new(size_t size)
{
	char *note = malloc(size);

	if (note)
		memset(note, 'n', 16);
	return note;
}

static size_t
entry_size(void)
{
	return 64 + (size_t) corpus_below(400);
}

static void
notes_take(void)
{
	static const size_t sizes[SIZES] = {120, 420, 60, 900, 240};
	size_t size = sizes[requests / spell % SIZES], place = (size_t) corpus_below(REGISTER);
	void **notes = recent[requests++ % RECENT];

	for (int i = 0; i < NOTES; i++) {
		free(notes[i]);
		notes[i] = note_new(size + (size_t) corpus_below(size / 2));
		if (i == NOTES / 2) {
			free(entries[place]);
			entries[place] = note_new(entry_size());
		}
	}
}

static int
mixed_lives_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	spell = corpus_vary(5000, 1);
	for (size_t i = 0; i < REGISTER; i++)
		entries[i] = note_new(entry_size());
	return 0;
}

static mtlsd_action
mixed_lives_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	notes_take();
	return corpus_answer(request, &ask);
}

/* The register is needed; what was noted of late is not. */
static uint64_t
mixed_lives_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = 0;

	for (size_t i = 0; i < RECENT; i++) {
		for (size_t note = 0; note < NOTES; note++) {
			freed += recent[i][note] ? 60 : 0; /* at least */
			free(recent[i][note]);
			recent[i][note] = NULL;
		}
	}
	return freed;
}

static void
mixed_lives_fini(void *user)
{
	(void) mixed_lives_evict(user, UINT64_MAX, MTLSD_EVICT_STATE);
	for (size_t i = 0; i < REGISTER; i++)
		free(entries[i]);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("mixed_lives", "makes notes that live long among others that do not"),
	.options = corpus_options,
	.init = mixed_lives_init,
	.request = mixed_lives_request,
	.evict = mixed_lives_evict,
	.fini = mixed_lives_fini,
};
