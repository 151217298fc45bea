/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "identity-fixture.h"

#include "identity-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void
same_text(const char *what, const char *plain, const char *any)
{
	if (plain && any && strcmp(plain, any) == 0)
		return;
	fprintf(stderr, "%s: \"%s\" by itself, \"%s\" by GnuTLS\n", what, plain ? plain : "", any ? any : "");
	abort();
}

static void
same_list(const char *what, const char *const *plain, const char *const *any)
{
	size_t i = 0;
	for (; plain[i] && any[i]; i++)
		same_text(what, plain[i], any[i]);
	if (plain[i] || any[i])
		same_text(what, plain[i], any[i]);
}

static void
same_identity(const struct identity *plain, const struct identity *any)
{
	same_text("subject", plain->subject, any->subject);
	same_text("issuer", plain->issuer, any->issuer);
	same_text("serial", plain->serial, any->serial);
	same_text("key", plain->spki_sha256, any->spki_sha256);
	same_text("fingerprint", plain->certificate_sha256, any->certificate_sha256);
	for (size_t kind = 0; kind < IDENTITY_SAN_COUNT; kind++)
		same_list("alternative name", plain->san[kind], any->san[kind]);
	same_list("purpose", plain->purposes, any->purposes);
	if (plain->not_before != any->not_before || plain->not_after != any->not_after) {
		fprintf(stderr, "valid from %lld to %lld by itself, %lld to %lld by GnuTLS\n",
			(long long) plain->not_before, (long long) plain->not_after, (long long) any->not_before,
			(long long) any->not_after);
		abort();
	}
}

bool
identity_compare(const void *der, size_t size)
{
	struct identity *plain = NULL, *any = NULL;
	struct error why_plain = {0}, why_any = {0};
	int r = identity_read_by(identity_read_plain, der, size, &plain, &why_plain);
	if (r == -ENOTSUP)
		return false;
	int s = identity_read_by(identity_read_any, der, size, &any, &why_any);
	if (r != s) {
		fprintf(stderr, "%d (%s) by itself, %d (%s) by GnuTLS\n", r, why_plain.text, s, why_any.text);
		abort();
	}
	if (r == 0)
		same_identity(plain, any);
	else
		same_text("error", why_plain.text, why_any.text);
	identity_unref(&plain);
	identity_unref(&any);
	return true;
}
