/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hello.h"

#include "cleanup.h"

#include <errno.h>
#include <string.h>

enum extension {
	EXTENSION_SERVER_NAME = 0,
	EXTENSION_GROUPS = 10,
	EXTENSION_SIGNATURES = 13,
	EXTENSION_TICKET = 35,
	EXTENSION_PRE_SHARED = 41,
	EXTENSION_VERSIONS = 43
};

/* Bytes that are still to be read; a part that does not fit makes it bad, and empty. */
struct reader {
	const unsigned char *at;
	size_t left;
	bool bad;
};

static struct reader
take(struct reader *reader, size_t length)
{
	struct reader part = {.at = reader->at, .left = length};
	if (reader->bad || length > reader->left) {
		*reader = (struct reader){.bad = true};
		return (struct reader){.bad = true};
	}
	reader->at += length;
	reader->left -= length;
	return part;
}

static unsigned
take_number(struct reader *reader, size_t bytes)
{
	struct reader part = take(reader, bytes);
	unsigned number = 0;
	for (; part.left; part.left--)
		number = number << 8 | *part.at++;
	return number;
}

/* A vector with its length in so many bytes before it. */
static struct reader
take_vector(struct reader *reader, size_t bytes)
{
	return take(reader, take_number(reader, bytes));
}

/* What the extensions say, before it is put together. */
struct findings {
	bool tls13;
	bool has_signatures;
	bool rsa, ecdsa;             /* cipher suites of TLS 1.2 */
	bool sign_rsa, sign_rsa_pss; /* signature algorithms */
	bool sign_ecdsa[3];          /* SHA-256, -384, -512; bound to the curve in 1.3 */
	bool sign_ed25519;
	bool curve[3]; /* P-256, P-384, P-521 */
	bool has_groups;
};

static void
read_suites(struct reader suites, struct findings *findings)
{
	while (suites.left) {
		switch (take_number(&suites, 2)) {
		case 0xc02b: /* ECDHE-ECDSA with AES-128-GCM, AES-256-GCM, ChaCha20 */
		case 0xc02c:
		case 0xcca9:
			findings->ecdsa = true;
			break;
		case 0xc02f: /* ECDHE-RSA with the same */
		case 0xc030:
		case 0xcca8:
			findings->rsa = true;
			break;
		default:
			break;
		}
	}
}

static void
read_versions(struct reader body, struct findings *findings)
{
	struct reader versions = take_vector(&body, 1);
	while (versions.left)
		if (take_number(&versions, 2) == 0x0304)
			findings->tls13 = true;
}

static void
read_signatures(struct reader body, struct findings *findings)
{
	struct reader list = take_vector(&body, 2);
	findings->has_signatures = true;
	while (list.left) {
		unsigned algorithm = take_number(&list, 2);
		switch (algorithm) {
		case 0x0401:
		case 0x0501:
		case 0x0601:
			findings->sign_rsa = true;
			break;
		case 0x0804:
		case 0x0805:
		case 0x0806:
			findings->sign_rsa_pss = true;
			break;
		case 0x0403:
		case 0x0503:
		case 0x0603:
			findings->sign_ecdsa[(algorithm >> 8) - 4] = true;
			break;
		case 0x0807:
			findings->sign_ed25519 = true;
			break;
		default:
			break;
		}
	}
}

static void
read_groups(struct reader body, struct findings *findings)
{
	struct reader list = take_vector(&body, 2);
	findings->has_groups = true;
	while (list.left) {
		unsigned group = take_number(&list, 2);
		if (group >= 23 && group <= 25)
			findings->curve[group - 23] = true;
	}
}

static void
read_server_name(struct reader body, struct hello *hello)
{
	struct reader list = take_vector(&body, 2);
	while (list.left) {
		unsigned type = take_number(&list, 1);
		struct reader name = take_vector(&list, 2);
		if (type != 0 || !name.left || name.left >= sizeof(hello->server_name) ||
		    memchr(name.at, '\0', name.left))
			continue;
		for (size_t i = 0; i < name.left; i++)
			hello->server_name[i] =
				(char) (name.at[i] >= 'A' && name.at[i] <= 'Z' ? name.at[i] | 0x20 : name.at[i]);
		hello->server_name[name.left] = '\0';
		return;
	}
}

static void
add_ticket(struct reader ticket, struct hello *hello)
{
	if (ticket.left < HELLO_TICKET_NAME || hello->ticket_count == HELLO_TICKETS)
		return;
	memcpy(hello->tickets[hello->ticket_count++], ticket.at, HELLO_TICKET_NAME);
}

static void
read_pre_shared(struct reader body, struct hello *hello)
{
	struct reader identities = take_vector(&body, 2);
	while (identities.left) {
		struct reader identity = take_vector(&identities, 2);
		(void) take(&identities, 4); /* its age */
		if (!identities.bad)
			add_ticket(identity, hello);
	}
}

static void
read_extension(unsigned type, struct reader body, struct hello *hello, struct findings *findings)
{
	switch ((enum extension) type) {
	case EXTENSION_SERVER_NAME:
		read_server_name(body, hello);
		break;
	case EXTENSION_GROUPS:
		read_groups(body, findings);
		break;
	case EXTENSION_SIGNATURES:
		read_signatures(body, findings);
		break;
	case EXTENSION_TICKET:
		add_ticket(body, hello);
		break;
	case EXTENSION_PRE_SHARED:
		read_pre_shared(body, hello);
		break;
	case EXTENSION_VERSIONS:
		read_versions(body, findings);
		break;
	}
}

static unsigned
usable_keys(const struct findings *findings)
{
	unsigned keys = 0;
	/* A TLS 1.2 client without the extension means SHA-1, which we do not sign with; GnuTLS will tell it. */
	if (findings->sign_rsa_pss || (!findings->tls13 && (findings->sign_rsa || !findings->has_signatures)))
		keys |= findings->tls13 || findings->rsa ? 1U << HELLO_RSA : 0;
	bool any = findings->sign_ecdsa[0] || findings->sign_ecdsa[1] || findings->sign_ecdsa[2];
	for (unsigned i = 0; i < 3; i++) {
		bool curve = findings->curve[i] || !findings->has_groups;
		if (findings->tls13 ? findings->sign_ecdsa[i] : any && findings->ecdsa && curve)
			keys |= 1U << (HELLO_P256 + i);
	}
	if (findings->sign_ed25519 && (findings->tls13 || findings->ecdsa))
		keys |= 1U << HELLO_ED25519;
	return keys;
}

int
hello_read(const void *body, size_t length, struct hello *ret)
{
	struct reader reader = {.at = body, .left = length};
	struct hello hello = {0};
	struct findings findings = {0};

	(void) take(&reader, 2 + 32);   /* version, random */
	(void) take_vector(&reader, 1); /* session */
	read_suites(take_vector(&reader, 2), &findings);
	(void) take_vector(&reader, 1); /* compression */
	if (reader.bad)
		return -EBADMSG;
	/* TLS 1.2 may come without any. */
	struct reader extensions = reader.left ? take_vector(&reader, 2) : reader;
	while (extensions.left) {
		unsigned type = take_number(&extensions, 2);
		struct reader extension = take_vector(&extensions, 2);
		if (extensions.bad)
			break;
		read_extension(type, extension, &hello, &findings);
	}
	if (extensions.bad)
		return -EBADMSG;
	hello.keys = usable_keys(&findings);
	*ret = hello;
	return 0;
}
