/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pki.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/pkcs12.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

const char pki_client_pem[] = "client/client.pem", pki_client_p12[] = "client/client.p12",
	   pki_server_ca[] = "client/server-ca.pem";

enum { DAY = 86400, FILES_MAX = 8, SERIAL = 16, KEY_ID = 64 };

struct key_pair {
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t certificate;
};

static void
key_pair_clear(struct key_pair *pair)
{
	if (pair->key)
		gnutls_x509_privkey_deinit(pair->key);
	if (pair->certificate)
		gnutls_x509_crt_deinit(pair->certificate);
	*pair = (struct key_pair){0};
}

static void
datum_clear(gnutls_datum_t *datum)
{
	if (datum->data)
		gnutls_memset(datum->data, 0, datum->size);
	gnutls_free(datum->data);
	datum->data = NULL;
}

/* --- certificates -------------------------------------------------------------------------------------------- */

static int
random_serial(gnutls_x509_crt_t certificate)
{
	unsigned char serial[SERIAL];
	int r = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));

	serial[0] = (unsigned char) ((serial[0] & 0x7f) | 0x40); /* positive, and as long as it looks */
	return r < 0 ? r : gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial));
}

/* Key and certificate with what all of them have; unsigned yet. */
static int
key_pair_begin(const char *subject, int days, struct key_pair *ret)
{
	struct key_pair pair = {0};
	unsigned char id[KEY_ID];
	size_t size = sizeof(id);
	time_t now = time(NULL);
	int r = gnutls_x509_privkey_init(&pair.key);

	if (r >= 0)
		r = gnutls_x509_privkey_generate(pair.key, GNUTLS_PK_ECDSA,
						 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (r >= 0)
		r = gnutls_x509_crt_init(&pair.certificate);
	if (r >= 0)
		r = gnutls_x509_crt_set_version(pair.certificate, 3);
	if (r >= 0)
		r = random_serial(pair.certificate);
	if (r >= 0)
		r = gnutls_x509_crt_set_dn(pair.certificate, subject, NULL);
	if (r >= 0) /* clocks differ */
		r = gnutls_x509_crt_set_activation_time(pair.certificate, now - DAY);
	if (r >= 0)
		r = gnutls_x509_crt_set_expiration_time(pair.certificate, now + (time_t) days * DAY);
	if (r >= 0)
		r = gnutls_x509_crt_set_key(pair.certificate, pair.key);
	if (r >= 0)
		r = gnutls_x509_crt_get_key_id(pair.certificate, GNUTLS_KEYID_USE_SHA1, id, &size);
	if (r >= 0)
		r = gnutls_x509_crt_set_subject_key_id(pair.certificate, id, size);
	if (r < 0)
		key_pair_clear(&pair);
	else
		*ret = pair;
	return r;
}

static int
sign(const struct key_pair *pair, const struct key_pair *issuer)
{
	unsigned char id[KEY_ID];
	size_t size = sizeof(id);
	int r = gnutls_x509_crt_get_key_id(issuer->certificate, GNUTLS_KEYID_USE_SHA1, id, &size);

	if (r >= 0)
		r = gnutls_x509_crt_set_authority_key_id(pair->certificate, id, size);
	if (r >= 0)
		r = gnutls_x509_crt_sign2(pair->certificate, issuer->certificate, issuer->key, GNUTLS_DIG_SHA256, 0);
	return r;
}

static int
make_authority(int days, struct key_pair *ret)
{
	int r = key_pair_begin("CN=mtlsd development CA", days, ret);

	if (r >= 0)
		r = gnutls_x509_crt_set_basic_constraints(ret->certificate, 1, 0);
	if (r >= 0)
		r = gnutls_x509_crt_set_key_usage(ret->certificate, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
	return r < 0 ? r : sign(ret, ret);
}

static int
add_name(gnutls_x509_crt_t certificate, gnutls_x509_subject_alt_name_t type, const void *data, size_t size)
{
	return gnutls_x509_crt_set_subject_alt_name(certificate, type, data, (unsigned) size, GNUTLS_FSAN_APPEND);
}

static int
add_server_names(gnutls_x509_crt_t certificate, const char *names)
{
	int r = 0;

	for (const char *p = names; *p && r >= 0;) {
		size_t length = strcspn(p, ",");
		char name[256];
		unsigned char address[sizeof(struct in6_addr)];

		if (length >= sizeof(name))
			return GNUTLS_E_INVALID_REQUEST;
		memcpy(name, p, length);
		name[length] = '\0';
		if (inet_pton(AF_INET, name, address) == 1)
			r = add_name(certificate, GNUTLS_SAN_IPADDRESS, address, sizeof(struct in_addr));
		else if (inet_pton(AF_INET6, name, address) == 1)
			r = add_name(certificate, GNUTLS_SAN_IPADDRESS, address, sizeof(struct in6_addr));
		else if (length > 0)
			r = add_name(certificate, GNUTLS_SAN_DNSNAME, name, length);
		p += length + (p[length] == ',');
	}
	return r;
}

static int
make_leaf(const char *subject, const char *purpose, int days, struct key_pair *ret)
{
	int r = key_pair_begin(subject, days, ret);

	if (r >= 0)
		r = gnutls_x509_crt_set_basic_constraints(ret->certificate, 0, -1);
	if (r >= 0)
		r = gnutls_x509_crt_set_key_usage(ret->certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (r >= 0)
		r = gnutls_x509_crt_set_key_purpose_oid(ret->certificate, purpose, 0);
	return r;
}

static int
make_server(const struct pki_wish *wish, const struct key_pair *authority, struct key_pair *ret)
{
	int r = make_leaf("CN=mtlsd development server", GNUTLS_KP_TLS_WWW_SERVER, wish->days, ret);

	if (r >= 0)
		r = add_server_names(ret->certificate, wish->names);
	return r < 0 ? r : sign(ret, authority);
}

/* Its names are those the sample configuration lets in. */
static int
make_client(const struct pki_wish *wish, const struct key_pair *authority, struct key_pair *ret)
{
	static const char uri[] = "spiffe://example.org/developer", dns[] = "developer.clients.example.org";
	int r = make_leaf("CN=developer,O=Example", GNUTLS_KP_TLS_WWW_CLIENT, wish->days, ret);

	if (r >= 0)
		r = add_name(ret->certificate, GNUTLS_SAN_URI, uri, strlen(uri));
	if (r >= 0)
		r = add_name(ret->certificate, GNUTLS_SAN_DNSNAME, dns, strlen(dns));
	return r < 0 ? r : sign(ret, authority);
}

static int
make_revocations(int days, const struct key_pair *authority, gnutls_datum_t *ret)
{
	static const unsigned char number[] = {1};
	unsigned char id[KEY_ID];
	size_t size = sizeof(id);
	time_t now = time(NULL);
	gnutls_x509_crl_t crl = NULL;
	int r = gnutls_x509_crl_init(&crl);

	if (r >= 0)
		r = gnutls_x509_crl_set_version(crl, 2);
	if (r >= 0)
		r = gnutls_x509_crl_set_this_update(crl, now - DAY);
	if (r >= 0)
		r = gnutls_x509_crl_set_next_update(crl, now + (time_t) days * DAY);
	if (r >= 0)
		r = gnutls_x509_crl_set_number(crl, number, sizeof(number));
	if (r >= 0)
		r = gnutls_x509_crt_get_key_id(authority->certificate, GNUTLS_KEYID_USE_SHA1, id, &size);
	if (r >= 0)
		r = gnutls_x509_crl_set_authority_key_id(crl, id, size);
	if (r >= 0)
		r = gnutls_x509_crl_sign2(crl, authority->certificate, authority->key, GNUTLS_DIG_SHA256, 0);
	if (r >= 0)
		r = gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, ret);
	if (crl)
		gnutls_x509_crl_deinit(crl);
	return r;
}

/* One bag: encrypted (key, certificate) or as it is. */
static int
bag_add(gnutls_pkcs12_t p12, const struct key_pair *client, bool key, const char *password)
{
	static const char name[] = "mtlsd development client";
	/* What every browser and operating system reads; the password is no secret anyway. */
	const unsigned flags = GNUTLS_PKCS_PKCS12_3DES;
	unsigned char id[KEY_ID];
	size_t size = sizeof(id);
	gnutls_datum_t local = {id, 0};
	gnutls_pkcs12_bag_t bag = NULL;
	gnutls_datum_t packed = {0};
	int place = gnutls_pkcs12_bag_init(&bag);
	int r = gnutls_x509_crt_get_key_id(client->certificate, GNUTLS_KEYID_USE_SHA1, id, &size);

	local.size = (unsigned) size;
	if (place >= 0 && key) {
		size_t length = 0;
		(void) gnutls_x509_privkey_export_pkcs8(client->key, GNUTLS_X509_FMT_DER, password, flags, NULL,
							&length);
		packed.data = gnutls_malloc(length);
		packed.size = (unsigned) length;
		place = packed.data ? gnutls_x509_privkey_export_pkcs8(client->key, GNUTLS_X509_FMT_DER, password,
								       flags, packed.data, &length)
				    : GNUTLS_E_MEMORY_ERROR;
		packed.size = (unsigned) length;
		if (place >= 0)
			place = gnutls_pkcs12_bag_set_data(bag, GNUTLS_BAG_PKCS8_ENCRYPTED_KEY, &packed);
	} else if (place >= 0) {
		place = gnutls_pkcs12_bag_set_crt(bag, client->certificate);
	}
	if (r >= 0)
		r = place;
	if (r >= 0)
		r = gnutls_pkcs12_bag_set_friendly_name(bag, place, name);
	if (r >= 0)
		r = gnutls_pkcs12_bag_set_key_id(bag, place, &local);
	if (r >= 0 && !key)
		r = gnutls_pkcs12_bag_encrypt(bag, password, flags);
	if (r >= 0)
		r = gnutls_pkcs12_set_bag(p12, bag);
	datum_clear(&packed);
	if (bag)
		gnutls_pkcs12_bag_deinit(bag);
	return r;
}

static int
make_bundle(const struct key_pair *client, const char *password, gnutls_datum_t *ret)
{
	gnutls_pkcs12_t p12 = NULL;
	int r = gnutls_pkcs12_init(&p12);

	if (r >= 0)
		r = bag_add(p12, client, false, password);
	if (r >= 0)
		r = bag_add(p12, client, true, password);
	if (r >= 0)
		r = gnutls_pkcs12_generate_mac(p12, password);
	if (r >= 0)
		r = gnutls_pkcs12_export2(p12, GNUTLS_X509_FMT_DER, ret);
	if (p12)
		gnutls_pkcs12_deinit(p12);
	return r;
}

/* --- files --------------------------------------------------------------------------------------------------- */

struct file {
	const char *name;
	mode_t mode;
	gnutls_datum_t data;
};

struct files {
	struct file list[FILES_MAX];
	size_t count;
};

static void
files_clear(struct files *files)
{
	for (size_t i = 0; i < files->count; i++)
		datum_clear(&files->list[i].data);
}

static gnutls_datum_t *
files_add(struct files *files, const char *name, mode_t mode)
{
	struct file *file = &files->list[files->count++];

	assert(files->count <= FILES_MAX);
	*file = (struct file){name, mode, {0}};
	return &file->data;
}

static int
join(gnutls_datum_t *first, gnutls_datum_t *second, gnutls_datum_t *ret)
{
	ret->data = gnutls_malloc(first->size + second->size);
	if (!ret->data)
		return GNUTLS_E_MEMORY_ERROR;
	ret->size = first->size + second->size;
	memcpy(ret->data, first->data, first->size);
	memcpy(ret->data + first->size, second->data, second->size);
	return 0;
}

/* Everything in memory first, so that a failure leaves no half of it. */
static int
files_make(const struct pki_wish *wish, struct files *files)
{
	CLEANUP(key_pair_clear) struct key_pair authority = {0}, server = {0}, client = {0};
	CLEANUP(datum_clear) gnutls_datum_t certificate = {0}, key = {0};
	int r = make_authority(wish->days, &authority);

	if (r >= 0)
		r = make_server(wish, &authority, &server);
	if (r >= 0)
		r = make_client(wish, &authority, &client);
	/* What the daemon reads is its group's to read. */
	if (r >= 0)
		r = gnutls_x509_crt_export2(server.certificate, GNUTLS_X509_FMT_PEM,
					    files_add(files, "server.pem", 0644));
	if (r >= 0)
		r = gnutls_x509_privkey_export2(server.key, GNUTLS_X509_FMT_PEM, files_add(files, "server.key", 0640));
	if (r >= 0)
		r = gnutls_x509_crt_export2(authority.certificate, GNUTLS_X509_FMT_PEM,
					    files_add(files, "clients.pem", 0644));
	if (r >= 0)
		r = make_revocations(wish->days, &authority, files_add(files, "clients.crl", 0644));
	if (r >= 0)
		r = gnutls_x509_privkey_export2(authority.key, GNUTLS_X509_FMT_PEM, files_add(files, "ca.key", 0600));
	if (r >= 0)
		r = gnutls_x509_crt_export2(authority.certificate, GNUTLS_X509_FMT_PEM,
					    files_add(files, pki_server_ca, 0644));
	if (r >= 0)
		r = gnutls_x509_crt_export2(client.certificate, GNUTLS_X509_FMT_PEM, &certificate);
	if (r >= 0)
		r = gnutls_x509_privkey_export2(client.key, GNUTLS_X509_FMT_PEM, &key);
	if (r >= 0)
		r = join(&certificate, &key, files_add(files, pki_client_pem, 0600));
	if (r >= 0)
		r = make_bundle(&client, wish->password, files_add(files, pki_client_p12, 0600));
	return r;
}

/* What lies in the folder itself takes the folder's group: a packaged one belongs to the daemon's. */
static int
file_write(int folder, const struct file *file, gid_t group, struct error *error)
{
	CLEANUP_CLOSE int fd = openat(folder, file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t done = 0;

	if (fd < 0)
		return error_set(error, -errno, "%s: %s", file->name, strerror(errno));
	int r = 0;
	while (done < file->data.size) {
		ssize_t n = write(fd, file->data.data + done, file->data.size - done);
		if (n < 0 && errno != EINTR) {
			r = -errno;
			break;
		}
		done += n > 0 ? (size_t) n : 0;
	}
	if (!strchr(file->name, '/') && file->mode != 0600)
		(void) !fchown(fd, (uid_t) -1, group);
	if (r == 0 && fchmod(fd, file->mode) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	(void) unlinkat(folder, file->name, 0);
	return error_set(error, r, "%s: %s", file->name, strerror(-r));
}

static int
files_write(const struct pki_wish *wish, const struct files *files, struct error *error)
{
	struct stat status;

	if (mkdir(wish->folder, 0750) < 0 && errno != EEXIST)
		return error_set(error, -errno, "%s: %s", wish->folder, strerror(errno));
	CLEANUP_CLOSE int folder = open(wish->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0 || fstat(folder, &status) < 0)
		return error_set(error, -errno, "%s: %s", wish->folder, strerror(errno));
	for (size_t i = 0; i < files->count; i++)
		if (faccessat(folder, files->list[i].name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return error_set(error, -EEXIST, "%s/%s is there already; nothing was written", wish->folder,
					 files->list[i].name);
	if (mkdirat(folder, "client", 0700) < 0 && errno != EEXIST)
		return error_set(error, -errno, "%s/client: %s", wish->folder, strerror(errno));
	for (size_t i = 0; i < files->count; i++) {
		int r = file_write(folder, &files->list[i], status.st_gid, error);
		if (r < 0) {
			while (i-- > 0)
				(void) unlinkat(folder, files->list[i].name, 0);
			return r;
		}
	}
	return 0;
}

int
pki_make(const struct pki_wish *wish, struct error *error)
{
	CLEANUP(files_clear) struct files files = {0};
	int r = files_make(wish, &files);

	if (r < 0)
		return error_set(error, -EIO, "cannot make certificates: %s", gnutls_strerror(r));
	return files_write(wish, &files, error);
}
