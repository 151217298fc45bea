/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client-certificate.c - preloaded into programs on OpenSSL that know no client certificates (wrk, slowhttptest).
 *
 * CLIENT_CERTIFICATE names a PEM file with certificate and key.
 */
#include <dlfcn.h>
#include <stdlib.h>

typedef void *make_context(const void *method);
typedef int use_file(void *context, const char *path, int type);
typedef int use_chain(void *context, const char *path);

void *SSL_CTX_new(const void *method);

void *
SSL_CTX_new(const void *method)
{
	make_context *make = (make_context *) dlsym(RTLD_NEXT, "SSL_CTX_new");
	use_chain *chain = (use_chain *) dlsym(RTLD_NEXT, "SSL_CTX_use_certificate_chain_file");
	use_file *key = (use_file *) dlsym(RTLD_NEXT, "SSL_CTX_use_PrivateKey_file");
	const char *path = getenv("CLIENT_CERTIFICATE");
	enum { PEM = 1 };
	if (!make || !chain || !key || !path)
		abort();
	void *context = make(method);
	if (!context || chain(context, path) != 1 || key(context, path, PEM) != 1)
		abort();
	return context;
}
