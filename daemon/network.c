/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct address {
	unsigned bits; /* 32 or 128 */
	uint8_t bytes[16];
};

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool
address_read(const char *text, size_t length, struct address *ret)
{
	char copy[INET6_ADDRSTRLEN];

	if (length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	if (inet_pton(AF_INET, copy, ret->bytes) == 1) {
		ret->bits = 32;
		return true;
	}
	if (inet_pton(AF_INET6, copy, ret->bytes) != 1)
		return false;
	ret->bits = 128;
	return true;
}

static void
address_unmap(struct address *address)
{
	if (address->bits != 128 || memcmp(address->bytes, mapped, sizeof(mapped)) != 0)
		return;
	memmove(address->bytes, address->bytes + sizeof(mapped), 4);
	address->bits = 32;
}

static bool
bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned rest = bits % 8;

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

/* Returns what is wrong, NULL if nothing. */
static const char *
network_read(const char *text, struct address *ret, unsigned *ret_prefix)
{
	size_t length = strcspn(text, "/");
	unsigned long prefix;
	char *end;

	if (!address_read(text, length, ret))
		return "is no address or network; write 192.0.2.0/24, 2001:db8::/32 or one address";
	*ret_prefix = ret->bits;
	if (text[length] == '\0')
		return NULL;
	const char *digits = text + length + 1;
	prefix = strtoul(digits, &end, 10);
	if (*digits < '0' || *digits > '9' || *end != '\0' || prefix > ret->bits)
		return "has no valid prefix length; it is 0 to 32 for IPv4 and 0 to 128 for IPv6";
	*ret_prefix = (unsigned) prefix;
	return NULL;
}

const char *
network_trouble(const char *network)
{
	struct address address = {0};
	unsigned prefix;
	const char *trouble = network_read(network, &address, &prefix);

	if (trouble)
		return trouble;
	for (unsigned bit = prefix; bit < address.bits; bit++)
		if (address.bytes[bit / 8] & (0x80 >> bit % 8))
			return "has bits set beyond its prefix length; write the network's first address";
	if (address.bits == 128 && memcmp(address.bytes, mapped, sizeof(mapped)) == 0)
		return "is an IPv4 network in IPv6 clothes; write it as IPv4";
	return NULL;
}

bool
network_holds(const char *network, const char *address)
{
	struct address net = {0}, peer = {0};
	unsigned prefix;

	if (network_read(network, &net, &prefix) || !address_read(address, strlen(address), &peer))
		return false;
	address_unmap(&peer);
	return net.bits == peer.bits && bits_equal(net.bytes, peer.bytes, prefix);
}
