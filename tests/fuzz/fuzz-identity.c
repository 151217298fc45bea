/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz-identity.c - any bytes as a certificate: refused, or an identity in which every string is whole and clean; and
 * the same whether GnuTLS reads it or not. */
#include "identity-fixture.h"
#include "identity.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(const char *text)
{
	assert(text && error_clean_span(text) == strlen(text));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct identity *identity = NULL;
	struct error error = {0};
	(void) identity_compare(data, size);
	int r = identity_read(data, size, &identity, &error);

	assert((r == 0) == (identity != NULL) && (r == 0) == (error.code == 0));
	if (r < 0) {
		assert(r == -EBADMSG && error.text[0]);
		return 0;
	}
	check_text(identity->subject);
	check_text(identity->issuer);
	assert(strlen(identity->spki_sha256) == 64 && strlen(identity->certificate_sha256) == 64 && *identity->serial);
	for (size_t kind = 0; kind < IDENTITY_SAN_COUNT; kind++)
		for (size_t i = 0; identity->san[kind][i]; i++)
			check_text(identity->san[kind][i]);
	for (size_t i = 0; identity->purposes[i]; i++)
		check_text(identity->purposes[i]);
	identity_unref(&identity);
	return 0;
}
