/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ocsp.h"

#include "secret.h"

#include <errno.h>
#include <gnutls/ocsp.h>
#include <string.h>

/* An answer that says nothing of its end is shown for so long. */
static const time_t endless = 3 * 86400;

static int
response_judge(const char *file, gnutls_ocsp_resp_t response, gnutls_x509_crt_t certificate, gnutls_x509_crt_t issuer,
	       struct ocsp *ocsp, struct error *error)
{
	unsigned status = 0, verified = 0;
	time_t since = -1, until = -1;
	int said = gnutls_ocsp_resp_get_status(response);
	if (said != GNUTLS_OCSP_RESP_SUCCESSFUL)
		return error_set(error, -EBADMSG, "ocsp %s: the responder refused to answer (status %d)", file, said);
	if (gnutls_ocsp_resp_check_crt(response, 0, certificate) < 0)
		return error_set(error, -EBADMSG, "ocsp %s: it is about another certificate", file);
	if (gnutls_ocsp_resp_get_single(response, 0, NULL, NULL, NULL, NULL, &status, &since, &until, NULL, NULL) < 0)
		return error_set(error, -EBADMSG, "ocsp %s: it cannot be read", file);
	if (status != GNUTLS_OCSP_CERT_GOOD)
		return error_set(error, -EKEYREVOKED, "ocsp %s: it says that the certificate is %s", file,
				 status == GNUTLS_OCSP_CERT_REVOKED ? "revoked" : "unknown");
	if (issuer && (gnutls_ocsp_resp_verify_direct(response, issuer, &verified, 0) < 0 || verified != 0))
		return error_set(error, -EBADMSG, "ocsp %s: the certificate's issuer did not sign it", file);
	ocsp->until = until != (time_t) -1 ? until : since + endless;
	return 0;
}

int
ocsp_load(const char *file, gnutls_x509_crt_t certificate, gnutls_x509_crt_t issuer, struct ocsp *ret,
	  struct error *error)
{
	CLEANUP(secret_clear) struct secret text = {0};
	gnutls_ocsp_resp_t response = NULL;
	struct ocsp ocsp = {0};
	int r = secret_read(file, "ocsp", false, &text, error);
	if (r < 0)
		return r;
	const gnutls_datum_t datum = {text.data, (unsigned) text.size};
	if (gnutls_ocsp_resp_init(&response) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	bool pem = text.size > 5 && memcmp(text.data, "-----", 5) == 0;
	r = gnutls_ocsp_resp_import2(response, &datum, pem ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER);
	if (r < 0)
		r = error_set(error, -EBADMSG, "ocsp %s: no answer in DER or PEM form: %s", file, gnutls_strerror(r));
	else
		r = response_judge(file, response, certificate, issuer, &ocsp, error);
	if (r == 0 && gnutls_ocsp_resp_export2(response, &ocsp.der, GNUTLS_X509_FMT_DER) < 0)
		r = error_set(error, -ENOMEM, "out of memory");
	gnutls_ocsp_resp_deinit(response);
	if (r == 0)
		*ret = ocsp;
	return r;
}

void
ocsp_clear(struct ocsp *ocsp)
{
	gnutls_free(ocsp->der.data);
	*ocsp = (struct ocsp){0};
}
