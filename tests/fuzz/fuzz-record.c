/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz-record.c - a record: what is accepted can be judged, and is written back as a record that says the same. */
#include "cleanup.h"
#include "record.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *
name_of(const struct verdict_site *site, void *ctx)
{
	return record_site_name(ctx, site->site, site->foreign);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(record_free) struct record *record = NULL, *again = NULL;
	CLEANUP_FREE char *text = NULL, *copy = NULL;
	size_t length, copied;
	struct verdict verdict;
	char sentence[400];

	if (record_read((const char *) data, size, &record, NULL) < 0)
		return 0;
	verdict_judge(record_input(record), &verdict);
	verdict_sentence(&verdict, sentence, sizeof(sentence));
	assert(verdict.site_count <= VERDICT_SITES && verdict.test_count <= VERDICT_TESTS);
	if (record_write(record_input(record), name_of, record, &text, &length) < 0)
		return 0;
	assert(record_read(text, length, &again, NULL) == 0);
	if (record_write(record_input(again), name_of, again, &copy, &copied) < 0)
		return 0;
	assert(copied == length && memcmp(copy, text, length) == 0);
	return 0;
}
