/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sawtooth_long - gathers a batch of about ninety thousand requests, ten megabytes, before it is sent off. */
#include "../sawtooth.h"

static const size_t sawtooth_row_bytes = 112;
static const uint64_t sawtooth_rows = 90000;

MTLSD_PLUGIN = {SAWTOOTH_PLUGIN("sawtooth_long")};
