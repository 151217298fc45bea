/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sawtooth_short - gathers a batch of about a thousand requests, then sends it off and begins anew. */
#include "../sawtooth.h"

static const size_t sawtooth_row_bytes = 240;
static const uint64_t sawtooth_rows = 1200;

MTLSD_PLUGIN = {SAWTOOTH_PLUGIN("sawtooth_short")};
