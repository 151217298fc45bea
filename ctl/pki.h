/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* pki.h - certificates to try the daemon with: an authority, a server, one client, and an empty revocation list.
 *
 * Threads: main thread. Owns: nothing; the keys it makes are in files and nowhere else when it returns.
 */
#include "error.h"

struct pki_wish {
	const char *folder;   /* made if it is missing */
	const char *names;    /* of the server, separated by commas: host names and addresses */
	const char *password; /* of the client's PKCS#12 file */
	int days;             /* until everything expires */
};

/* All files or none: nothing that is there already is touched. */
int pki_make(const struct pki_wish *wish, struct error *error);

/* The file names below the folder, for messages. */
extern const char pki_client_pem[], pki_client_p12[], pki_server_ca[];
