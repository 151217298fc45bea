/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* sawtooth.h - a plugin that does nothing but gather a batch and send it off; the family says how large.
 *
 * Threads: one at a time. Owns: its batch.
 */
#include "batch.h"

static const size_t sawtooth_row_bytes;
static const uint64_t sawtooth_rows; /* on average over seeds */

static struct batch sawtooth_batch;

static int
sawtooth_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	      void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	sawtooth_batch = (struct batch){.row_bytes = sawtooth_row_bytes, .most = corpus_vary(sawtooth_rows, 1)};
	return 0;
}

static mtlsd_action
sawtooth_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	batch_add(&sawtooth_batch, ask.path);
	return corpus_answer(request, &ask);
}

static uint64_t
sawtooth_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return batch_send(&sawtooth_batch);
}

static void
sawtooth_fini(void *user CORPUS_UNUSED)
{
	(void) batch_send(&sawtooth_batch);
}

#define SAWTOOTH_PLUGIN(plugin_name)                                                                                   \
	CORPUS_PLUGIN(plugin_name, "gathers a batch and sends it off"),                                                \
		.options = corpus_options, .init = sawtooth_init, .request = sawtooth_request,                         \
		.evict = sawtooth_evict, .fini = sawtooth_fini
