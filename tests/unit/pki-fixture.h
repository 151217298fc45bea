/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* pki-fixture.h - authorities, certificates and revocation lists as files of a temporary folder.
 *
 * Everything has a name; NAME.pem is its certificate, NAME.key its key.
 *
 * Threads: the test's. Owns: the folder, which goes with the fixture.
 */
#include <gnutls/x509.h>
#include <time.h>

struct pki;

struct pki *pki_new(void);
void pki_free(struct pki **pki);
/* A path inside the folder, valid as long as the fixture. */
const char *pki_path(struct pki *pki, const char *file);
void pki_write(struct pki *pki, const char *file, const void *data, size_t size);

/* parent: NULL for a root. Valid from a day ago for so many days. */
void pki_authority(struct pki *pki, const char *name, const char *parent, int days);
/* A root with the subject of another authority: the same after a change of its key, or made with its key. */
void pki_successor(struct pki *pki, const char *name, const char *of, int days);
void pki_twin(struct pki *pki, const char *name, const char *of, int days);
enum pki_purpose { PKI_SERVER, PKI_CLIENT };
/* names: DNS names, separated by blanks. pk: GNUTLS_PK_ECDSA, GNUTLS_PK_RSA, GNUTLS_PK_EDDSA_ED25519. */
void pki_leaf(struct pki *pki, const char *name, const char *issuer, gnutls_pk_algorithm_t pk, const char *names,
	      enum pki_purpose purpose, int days);
/* A list of the issuer that names the leaf (NULL: nobody), fresh from a day ago until so many days from now. */
void pki_crl(struct pki *pki, const char *file, const char *issuer, const char *revoked, int days);
/* DER of a certificate. */
const gnutls_datum_t *pki_der(struct pki *pki, const char *name);
