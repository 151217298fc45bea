/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ticket.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <unistd.h>

enum {
	SECRET_LEAST = 32,
	SECRET_MOST = 128,
	/* GnuTLS derives a key for every period of so many lifetimes (its lib/stek.c). */
	STEPS = 3
};

struct ticket_secret {
	unsigned char bytes[SECRET_MOST];
	size_t length;
	time_t since, until; /* until: it opens no more, 0: it is the newest, or the file's */
};

struct ticket_ring {
	struct secret pages; /* TICKET_SECRETS of them, the newest first */
	struct ticket_secret *secrets;
	size_t count;
};

int
ticket_ring_new(struct ticket_ring **ret)
{
	struct ticket_ring *ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	int r = secret_new(TICKET_SECRETS * sizeof(struct ticket_secret), &ring->pages);
	if (r < 0) {
		free(ring);
		return r;
	}
	ring->secrets = (struct ticket_secret *) ring->pages.data; /* page-aligned */
	*ret = ring;
	return 0;
}

void
ticket_ring_free(struct ticket_ring **ring)
{
	if (!*ring)
		return;
	secret_clear(&(*ring)->pages);
	free(*ring);
	*ring = NULL;
}

time_t
ticket_ring_since(const struct ticket_ring *ring)
{
	return ring->count ? ring->secrets[0].since : 0;
}

size_t
ticket_ring_count(const struct ticket_ring *ring)
{
	return ring->count;
}

/* A clock that was set back must not keep a secret for longer. */
static bool
is_due(const struct ticket_ring *ring, time_t now, unsigned period)
{
	return !ring->count || now - ring->secrets[0].since >= (time_t) period || now < ring->secrets[0].since;
}

int
ticket_ring_turn(struct ticket_ring *ring, time_t now, unsigned period, unsigned lifetime)
{
	size_t before = ring->count;
	while (ring->count > 1 && now >= ring->secrets[ring->count - 1].until)
		explicit_bzero(&ring->secrets[--ring->count], sizeof(*ring->secrets));
	if (!is_due(ring, now, period))
		return ring->count != before;
	unsigned char fresh[TICKET_KEY];
	if (gnutls_rnd(GNUTLS_RND_KEY, fresh, sizeof(fresh)) < 0)
		return -EIO;
	if (ring->count == TICKET_SECRETS)
		ring->count--;
	memmove(ring->secrets + 1, ring->secrets, ring->count * sizeof(*ring->secrets));
	if (ring->count)
		ring->secrets[1].until = now + (time_t) lifetime;
	ring->count++;
	explicit_bzero(&ring->secrets[0], sizeof(*ring->secrets));
	ring->secrets[0].length = sizeof(fresh);
	ring->secrets[0].since = now;
	memcpy(ring->secrets[0].bytes, fresh, sizeof(fresh));
	explicit_bzero(fresh, sizeof(fresh));
	return true;
}

/* --- the file ---------------------------------------------------------------------------------------------------- */

static int
digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char) (c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One line without its end. 0: nothing stands there; 1: a secret; -EINVAL. */
static int
line_read(const char *line, size_t length, struct ticket_secret *ret)
{
	while (length && (line[0] == ' ' || line[0] == '\t')) {
		line++;
		length--;
	}
	while (length && (line[length - 1] == ' ' || line[length - 1] == '\t' || line[length - 1] == '\r'))
		length--;
	if (!length || line[0] == '#')
		return 0;
	if (length % 2 || length / 2 < SECRET_LEAST || length / 2 > SECRET_MOST)
		return -EINVAL;
	for (size_t i = 0; i < length; i += 2) {
		int high = digit_value(line[i]), low = digit_value(line[i + 1]);
		if (high < 0 || low < 0)
			return -EINVAL;
		ret->bytes[i / 2] = (unsigned char) (high << 4 | low);
	}
	ret->length = length / 2;
	return 1;
}

static int
file_read(const char *name, const char *text, size_t length, struct ticket_secret *secrets, struct error *error)
{
	int count = 0;
	for (unsigned number = 1; length; number++) {
		const char *end = memchr(text, '\n', length);
		size_t line = end ? (size_t) (end - text) : length;
		struct ticket_secret secret = {0};
		int r = line_read(text, line, &secret);
		if (r < 0)
			return error_set(error, r,
					 "ticket_key %s, line %u: not 64 to 256 hexadecimal digits; write the output "
					 "of: openssl rand -hex 32",
					 name, number);
		if (r > 0 && count == TICKET_SECRETS)
			return error_set(error, -E2BIG, "ticket_key %s, line %u: more than %d secrets", name, number,
					 TICKET_SECRETS);
		if (r > 0)
			secrets[count++] = secret;
		explicit_bzero(&secret, sizeof(secret));
		line += end != NULL;
		text += line;
		length -= line;
	}
	return count ? count
		     : error_set(error, -ENODATA,
				 "ticket_key %s: no secret in it; write the output of: openssl rand -hex 32", name);
}

static bool
is_same(const struct ticket_ring *ring, const struct ticket_secret *secrets, size_t count)
{
	bool same = ring->count == count;
	for (size_t i = 0; same && i < count; i++)
		same = ring->secrets[i].length == secrets[i].length && !ring->secrets[i].until &&
		       memcmp(ring->secrets[i].bytes, secrets[i].bytes, secrets[i].length) == 0;
	return same;
}

int
ticket_ring_read(struct ticket_ring *ring, const char *name, const void *text, size_t length, time_t now,
		 bool *ret_changed, struct error *error)
{
	CLEANUP(secret_clear) struct secret pages = {0};
	if (secret_new(TICKET_SECRETS * sizeof(struct ticket_secret), &pages) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	struct ticket_secret *secrets = (struct ticket_secret *) pages.data;
	int count = file_read(name, text, length, secrets, error);
	if (count < 0)
		return count;
	bool same = is_same(ring, secrets, (size_t) count);
	if (!same) {
		for (int i = 0; i < count; i++)
			secrets[i].since = now;
		memcpy(ring->secrets, secrets, pages.size);
		ring->count = (size_t) count;
	}
	*ret_changed = !same;
	return 0;
}

/* --- kept for the next run --------------------------------------------------------------------------------------- */

struct kept {
	char what[24]; /* and which version of it */
	uint64_t count;
	struct ticket_secret secrets[TICKET_SECRETS];
};
static_assert(sizeof(struct kept) < 4096, "one write within a page");
static const char kept_what[24] = "mtlsd ticket secrets 1";

int
ticket_ring_save(const struct ticket_ring *ring, int fd)
{
	CLEANUP(secret_clear) struct secret pages = {0};
	int r = secret_new(sizeof(struct kept), &pages);
	if (r < 0)
		return r;
	struct kept *kept = (struct kept *) pages.data; /* page-aligned */
	memcpy(kept->what, kept_what, sizeof(kept->what));
	kept->count = ring->count;
	memcpy(kept->secrets, ring->secrets, ring->count * sizeof(*ring->secrets));
	ssize_t written = pwrite(fd, kept, sizeof(*kept), 0);
	return written == sizeof(*kept) ? 0 : written < 0 ? -errno : -EIO;
}

static bool
is_sound(const struct kept *kept)
{
	bool sound = memcmp(kept->what, kept_what, sizeof(kept->what)) == 0 && kept->count <= TICKET_SECRETS;
	for (size_t i = 0; sound && i < kept->count; i++)
		sound = kept->secrets[i].length >= SECRET_LEAST && kept->secrets[i].length <= SECRET_MOST;
	return sound;
}

int
ticket_ring_load(struct ticket_ring *ring, int fd)
{
	CLEANUP(secret_clear) struct secret pages = {0};
	int r = secret_new(sizeof(struct kept), &pages);
	if (r < 0)
		return r;
	const struct kept *kept = (const struct kept *) pages.data;
	ssize_t got = pread(fd, pages.data, sizeof(*kept), 0);
	if (got < 0)
		return -errno;
	if (got != sizeof(*kept) || !is_sound(kept))
		return -EBADMSG;
	memcpy(ring->secrets, kept->secrets, sizeof(kept->secrets));
	ring->count = kept->count;
	return 0;
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static int
key_derive(const struct ticket_secret *secret, const char *set, const unsigned char policy[TICKET_POLICY],
	   unsigned char ret[TICKET_KEY])
{
	unsigned char extracted[32];
	char info[TICKET_POLICY + 128] = "mtlsd ticket key 1";
	size_t label = strlen(info) + 1, length = strnlen(set, sizeof(info) - TICKET_POLICY - label);
	gnutls_datum_t secret_datum = {(unsigned char *) (uintptr_t) secret->bytes, (unsigned) secret->length};
	gnutls_datum_t salt = {NULL, 0}, extracted_datum = {extracted, sizeof(extracted)};

	memcpy(info + label, policy, TICKET_POLICY);
	memcpy(info + label + TICKET_POLICY, set, length);
	gnutls_datum_t info_datum = {(unsigned char *) info, (unsigned) (label + TICKET_POLICY + length)};
	int r = gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &secret_datum, &salt, extracted);
	if (r == 0)
		r = gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &extracted_datum, &info_datum, ret, TICKET_KEY);
	explicit_bzero(extracted, sizeof(extracted));
	return r < 0 ? -EIO : 0;
}

int
ticket_keys_derive(const struct ticket_ring *ring, const char *set, const unsigned char policy[TICKET_POLICY],
		   unsigned lifetime, struct ticket_keys *ret)
{
	struct ticket_keys keys = {.lifetime = lifetime};
	int r = secret_new(ring->count * TICKET_KEY, &keys.pages);
	if (r < 0)
		return r;
	for (; keys.count < ring->count && r == 0; keys.count++)
		r = key_derive(&ring->secrets[keys.count], set, policy, keys.pages.data + keys.count * TICKET_KEY);
	if (r < 0) {
		ticket_keys_clear(&keys);
		return r;
	}
	*ret = keys;
	return 0;
}

void
ticket_keys_clear(struct ticket_keys *keys)
{
	secret_clear(&keys->pages);
	*keys = (struct ticket_keys){0};
}

/* GnuTLS takes one key for a session, and writes its name, made like this, before each ticket. Should it ever name
 * keys otherwise, old tickets are not recognised and cost a full handshake; none is accepted that should not be. */
static void
key_name(const unsigned char key[TICKET_KEY], unsigned lifetime, time_t now, unsigned char ret[HELLO_TICKET_NAME])
{
	unsigned char input[8 + TICKET_KEY], output[64];
	uint64_t step = (uint64_t) now / ((uint64_t) lifetime * STEPS);
	for (unsigned i = 0; i < 8; i++)
		input[i] = (unsigned char) (step >> (56 - 8 * i));
	memcpy(input + 8, key, TICKET_KEY);
	if (gnutls_hash_fast(GNUTLS_DIG_SHA3_512, input, sizeof(input), output) < 0)
		memset(output, 0, sizeof(output));
	memcpy(ret, output, HELLO_TICKET_NAME);
	explicit_bzero(input, sizeof(input));
	explicit_bzero(output, sizeof(output));
}

static bool
opens(const unsigned char key[TICKET_KEY], unsigned lifetime, const struct hello *hello, time_t now)
{
	unsigned char name[HELLO_TICKET_NAME];
	key_name(key, lifetime, now, name);
	for (size_t i = 0; i < hello->ticket_count; i++)
		if (memcmp(name, hello->tickets[i], sizeof(name)) == 0)
			return true;
	return false;
}

const unsigned char *
ticket_keys_choose(const struct ticket_keys *keys, const struct hello *hello, time_t now)
{
	const unsigned char *key = keys->pages.data;
	/* Only where there is a choice. */
	for (size_t i = 1; hello->ticket_count && i < keys->count && keys->lifetime; i++)
		if (opens(key + i * TICKET_KEY, keys->lifetime, hello, now))
			return key + i * TICKET_KEY;
	return keys->count ? key : NULL;
}
