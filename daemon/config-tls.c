/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tls list of the configuration: its rows, and what must fit together. */
#include "config-check.h"
#include "config-tables.h"

#include <errno.h>
#include <string.h>

enum { SECOND = 1000000, DAY = 86400 * INT64_C(1000000), NAME_LENGTH = 64, TEXT_LENGTH = 4096 };

static const char file_schemes[] = "credential:";
static const char key_schemes[] = "credential:|pkcs11:|tpmkey:|system:";
static const char certificate_help[] =
	"PEM file with the server's certificate, then its issuers. Paths are relative to the configuration file; "
	"credential:NAME is a file of $CREDENTIALS_DIRECTORY (LoadCredential= of the unit).";
static const char key_help[] = "PEM file with the private key, or the URI of a token's: pkcs11:token=...;object=...";
static const char ocsp_help[] = "File with the authority's OCSP answer for it (DER or PEM), shown to clients while it "
				"is valid. Default: none.";

static const struct schema_row certificate_rows[] = {
	{"certificate", SCHEMA_PATH, offsetof(struct config_certificate, certificate), .required = true, .min = 1,
	 .max = TEXT_LENGTH, .choices = file_schemes, .help = certificate_help},
	{"key", SCHEMA_PATH, offsetof(struct config_certificate, key), .required = true, .min = 1, .max = TEXT_LENGTH,
	 .choices = key_schemes, .help = key_help},
	{"ocsp", SCHEMA_PATH, offsetof(struct config_certificate, ocsp), .min = 1, .max = TEXT_LENGTH,
	 .choices = file_schemes, .help = ocsp_help},
	{.key = NULL},
};

static int
certificate_add(struct schema_reader *reader, void *base, const struct yaml_node *node)
{
	struct config_tls *tls = base;
	struct config_certificate *item =
		config_list_add(&tls->certificates, &tls->certificate_count, sizeof(*tls->certificates));

	if (!item)
		return -ENOMEM;
	item->node = node;
	return schema_read(reader, certificate_rows, node, item);
}

const struct schema_row config_tls_rows[] = {
	{"name", SCHEMA_STRING, offsetof(struct config_tls, name), .required = true, .min = 1, .max = NAME_LENGTH,
	 .help = "What listeners call this set."},
	{"certificate", SCHEMA_PATH, offsetof(struct config_tls, first.certificate), .min = 1, .max = TEXT_LENGTH,
	 .choices = file_schemes, .help = certificate_help},
	{"key", SCHEMA_PATH, offsetof(struct config_tls, first.key), .min = 1, .max = TEXT_LENGTH,
	 .choices = key_schemes, .help = key_help},
	{"ocsp", SCHEMA_PATH, offsetof(struct config_tls, first.ocsp), .min = 1, .max = TEXT_LENGTH,
	 .choices = file_schemes, .help = ocsp_help},
	{"certificates", SCHEMA_LIST, .offset = 0, .rows = certificate_rows, .item = certificate_add,
	 .help = "Several certificates, instead of or after the one above. A client gets one whose kind of key (RSA, "
		 "ECDSA, Ed25519) it can verify; of those the one that names the server it asked for (SNI), exactly or "
		 "by wildcard; of those the first."},
	{"client_ca", SCHEMA_PATH, offsetof(struct config_tls, client_ca), .required = true, .min = 1,
	 .max = TEXT_LENGTH, .choices = file_schemes,
	 .help = "PEM file with the authorities whose client certificates are accepted."},
	{"client_crl", SCHEMA_PATH, offsetof(struct config_tls, client_crl), .min = 1, .max = TEXT_LENGTH,
	 .choices = file_schemes, .help = "PEM file with their revocation lists."},
	{"crl", SCHEMA_CHOICE, offsetof(struct config_tls, crl), .choices = "off|soft|required",
	 .help = "off: revocation is not looked at. soft: a listed certificate is refused, a missing or outdated list "
		 "is not held against the client. required: a fresh list of the issuer must be there. Default: "
		 "required "
		 "with client_crl, off without."},
	{"min_version", SCHEMA_CHOICE, offsetof(struct config_tls, min_version), .choices = "1.2|1.3",
	 .fallback = "1.2", .help = "Oldest TLS version spoken."},
	{"tickets", SCHEMA_BOOL, offsetof(struct config_tls, tickets), .fallback = "true",
	 .help = "Session resumption by tickets. The client's certificate is checked again on each; a change of "
		 "client_ca, client_crl or the routes' rules makes all earlier ones worthless. Early data is never "
		 "taken."},
	{"ticket_lifetime", SCHEMA_DURATION, offsetof(struct config_tls, ticket_lifetime), .min = SECOND,
	 .max = 7 * DAY, .fallback = "1h", .help = "How long a session may be resumed."},
	{"ticket_rotation", SCHEMA_DURATION, offsetof(struct config_tls, ticket_rotation), .min = SECOND,
	 .max = 30 * DAY, .fallback = "12h",
	 .help = "A new secret seals tickets after this long; the one before still opens its own for ticket_lifetime. "
		 "Not with ticket_key."},
	{"ticket_key", SCHEMA_PATH, offsetof(struct config_tls, ticket_key), .min = 1, .max = TEXT_LENGTH,
	 .choices = file_schemes,
	 .help = "File with the secrets of tickets, so that daemons that share it resume each other's sessions. One a "
		 "line, 64 hexadecimal digits (openssl rand -hex 32), at most 4: the first seals, the others open. To "
		 "change it, put a new line before the others, and drop the last a ticket_lifetime later. Readable by "
		 "its owner only."},
	{"verified_chains", SCHEMA_INT, offsetof(struct config_tls, verified_chains), .min = 0, .max = 1000000,
	 .fallback = "4096",
	 .help = "Client certificate chains remembered as verified, so that a client that returns costs no check of "
		 "signatures. Forgotten when client_ca changes, when a list names them, when they expire. 0: none."},
	{"warn_before", SCHEMA_DURATION, offsetof(struct config_tls, warn_before), .min = 0, .max = 365 * DAY,
	 .fallback = "21d", .help = "Warn once a day when a certificate of the set expires within this time."},
	{.key = NULL},
};

int
config_tls_add(struct schema_reader *reader, void *base, const struct yaml_node *node)
{
	struct config *config = base;
	struct config_tls *tls = config_list_add(&config->tls, &config->tls_count, sizeof(*config->tls));

	if (!tls)
		return -ENOMEM;
	tls->node = node;
	return schema_read(reader, config_tls_rows, node, tls);
}

void
config_tls_release(struct config_tls *tls)
{
	for (size_t i = 0; i < tls->certificate_count; i++)
		schema_release(certificate_rows, &tls->certificates[i]);
	free(tls->certificates);
	schema_release(config_tls_rows, tls);
}

/* The certificate that stands in the set itself is the first of the list. */
static int
first_move(struct schema_reader *reader, struct config_tls *tls)
{
	struct config_certificate *first = &tls->first;

	if (!first->certificate && !first->key && !first->ocsp) {
		/* What is wrong inside the list has been said. */
		if (!yaml_get(tls->node, "certificates"))
			(void) schema_mistake(reader, tls->node,
					      "missing key \"certificate\" in this tls set; give certificate: FILE and "
					      "key: FILE, or a list of such pairs in certificates");
		else if (tls->certificate_count == 0)
			(void) schema_mistake(
				reader, config_place(tls->node, "certificates"),
				"certificates is empty; give at least one {certificate: FILE, key: FILE}");
		return 0;
	}
	if (!first->certificate || !first->key) {
		const char *missing = first->certificate ? "key" : "certificate";

		if (!yaml_get(tls->node, missing))
			(void) schema_mistake(reader, tls->node, "missing key \"%s\" in this tls set; add it: a path",
					      missing);
		return 0;
	}
	if (!config_list_add(&tls->certificates, &tls->certificate_count, sizeof(*tls->certificates)))
		return -ENOMEM;
	memmove(tls->certificates + 1, tls->certificates, (tls->certificate_count - 1) * sizeof(*tls->certificates));
	tls->certificates[0] = *first;
	tls->certificates[0].node = tls->node;
	*first = (struct config_certificate){0};
	return 0;
}

int
config_check_tls(struct schema_reader *reader, struct config_tls *tls)
{
	const struct yaml_node *crl = yaml_get(tls->node, "crl");

	/* A list that was named is meant to be used. */
	if (!crl && tls->client_crl)
		tls->crl = CONFIG_CRL_REQUIRED;
	if (tls->crl != CONFIG_CRL_OFF && !tls->client_crl)
		(void) schema_mistake(reader, config_place(tls->node, "crl"),
				      "crl: %s needs client_crl; add client_crl: FILE, or write crl: off",
				      tls->crl == CONFIG_CRL_SOFT ? "soft" : "required");
	if (tls->ticket_key && yaml_get(tls->node, "ticket_rotation"))
		(void) schema_mistake(reader, config_place(tls->node, "ticket_rotation"),
				      "ticket_rotation has no effect with ticket_key, whose secrets its owner changes; "
				      "leave one of them out");
	return first_move(reader, tls);
}
