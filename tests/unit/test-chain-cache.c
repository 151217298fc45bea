/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chain-cache.h"
#include "cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1000 };

static void
digest_of(unsigned number, unsigned char ret[CHAIN_DIGEST])
{
	memset(ret, 0, CHAIN_DIGEST);
	memcpy(ret, &number, sizeof(number));
}

static struct chain *
chain_numbered(unsigned number, time_t from, time_t until, time_t fresh_until)
{
	struct chain_bytes sent = {(const unsigned char *) "certificate", 11};
	struct chain_link link = {.issuer = {(const unsigned char *) "issuer", 6}, .serial = {7}, .serial_length = 1};
	struct chain template = {.not_before = from,
				 .not_after = until,
				 .fresh_until = fresh_until,
				 .links = &link,
				 .link_count = 1,
				 .sent = &sent,
				 .sent_count = 1};
	digest_of(number, template.digest);
	struct chain *chain = chain_new(&template);
	assert_non_null(chain);
	return chain;
}

static void
add(struct chain_cache *cache, unsigned number)
{
	struct chain *chain = chain_numbered(number, 0, 2 * NOW, INT64_MAX);
	chain_cache_add(cache, chain);
	chain_unref(&chain);
}

static bool
has(struct chain_cache *cache, unsigned number, time_t now)
{
	unsigned char digest[CHAIN_DIGEST];
	digest_of(number, digest);
	CLEANUP(chain_unref) struct chain *chain = chain_cache_find(cache, digest, now);
	if (chain)
		assert_memory_equal(chain->digest, digest, sizeof(digest));
	return chain != NULL;
}

static struct chain_cache *
cache_new(size_t room)
{
	struct chain_cache *cache = NULL;
	assert_int_equal(chain_cache_new(room, &cache), 0);
	return cache;
}

static struct chain_cache_counts
counts_of(struct chain_cache *cache)
{
	struct chain_cache_counts counts;
	chain_cache_counts(cache, &counts);
	return counts;
}

static void
test_a_chain_owns_its_copies(void **state)
{
	unsigned char der[] = "certificate", name[] = "issuer";
	struct chain_bytes sent[] = {{der, sizeof(der)}, {name, sizeof(name)}};
	struct chain_link link = {.issuer = {name, sizeof(name)}, .serial = {1, 2}, .serial_length = 2};
	struct chain template = {.links = &link, .link_count = 1, .sent = sent, .sent_count = 2};
	struct chain *chain = chain_new(&template), *other = chain_ref(chain);
	unsigned char a[CHAIN_DIGEST], b[CHAIN_DIGEST];
	(void) state;
	assert_true(chain_digest(sent, 2, a));
	memset(der, 'x', sizeof(der));
	memset(name, 'x', sizeof(name));
	assert_string_equal((const char *) chain->sent[0].data, "certificate");
	assert_string_equal((const char *) chain->links[0].issuer.data, "issuer");
	assert_int_equal(chain->links[0].serial_length, 2);
	assert_true(chain_digest(chain->sent, 2, b));
	assert_memory_equal(a, b, sizeof(a));
	/* Where one ends and the next begins is part of it. */
	struct chain_bytes joined[] = {{(const unsigned char *) "ab", 2}, {(const unsigned char *) "c", 1}};
	struct chain_bytes parted[] = {{(const unsigned char *) "a", 1}, {(const unsigned char *) "bc", 2}};
	assert_true(chain_digest(joined, 2, a) && chain_digest(parted, 2, b));
	assert_memory_not_equal(a, b, sizeof(a));
	chain_unref(&chain);
	assert_null(chain);
	assert_string_equal((const char *) other->sent[0].data, "certificate");
	chain_unref(&other);
	chain_unref(&other);
}

static void
test_found_while_it_is_valid(void **state)
{
	struct chain_cache *cache = cache_new(10);
	struct chain *chain = chain_numbered(1, NOW, NOW + 10, INT64_MAX);
	struct chain *fresh = chain_numbered(2, NOW, NOW + 10, NOW + 5);
	(void) state;
	chain_cache_add(cache, chain);
	chain_cache_add(cache, fresh);
	assert_false(has(cache, 3, NOW));
	assert_false(has(cache, 1, NOW - 1)); /* the clock was set back: kept, but not believed */
	assert_true(has(cache, 1, NOW));
	assert_true(has(cache, 1, NOW + 10));
	assert_false(has(cache, 1, NOW + 11));
	assert_int_equal(counts_of(cache).entries, 1);
	assert_true(has(cache, 2, NOW + 5));
	assert_false(has(cache, 2, NOW + 6)); /* its revocation list is outdated */
	struct chain_cache_counts counts = counts_of(cache);
	assert_int_equal(counts.entries, 0);
	assert_int_equal(counts.bytes, 0);
	assert_int_equal(counts.hits, 3);
	assert_int_equal(counts.misses, 4);
	chain_cache_free(&cache);
	/* Whoever holds one goes on holding it. */
	assert_int_equal(atomic_load(&chain->references), 1);
	chain_unref(&chain);
	chain_unref(&fresh);
}

static void
test_never_more_than_there_is_room_for(void **state)
{
	struct chain_cache *cache = cache_new(100);
	(void) state;
	for (unsigned i = 0; i < 1000; i++) {
		add(cache, i);
		assert_true(counts_of(cache).entries <= 100);
	}
	struct chain_cache_counts counts = counts_of(cache);
	assert_int_equal(counts.entries, 100);
	assert_int_equal(counts.evicted, 900);
	for (unsigned i = 900; i < 1000; i++)
		assert_true(has(cache, i, NOW)); /* nobody returned: the newest stay */
	add(cache, 999);
	assert_int_equal(counts_of(cache).entries, 100);
	chain_cache_free(&cache);
	assert_null(cache);
	chain_cache_free(&cache);
}

/* SIEVE's promise: one-time strangers, however many, do not push out those who return. */
static void
test_those_who_return_stay(void **state)
{
	struct chain_cache *cache = cache_new(64);
	unsigned stranger = 1000, hits = 0;
	(void) state;
	for (unsigned i = 0; i < 32; i++)
		add(cache, i);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 32; i++) {
			bool there = has(cache, i, NOW);
			hits += there;
			if (!there)
				add(cache, i);
		}
		for (unsigned i = 0; i < 30; i++) {
			assert_false(has(cache, stranger, NOW));
			add(cache, stranger++);
		}
	}
	assert_true(hits >= 50 * 32 * 95 / 100);
	chain_cache_free(&cache);
}

static void
test_the_hand_survives_what_it_points_at(void **state)
{
	struct chain_cache *cache = cache_new(4);
	(void) state;
	for (unsigned i = 0; i < 4; i++) {
		struct chain *chain = chain_numbered(i, 0, NOW + (time_t) i, INT64_MAX);
		chain_cache_add(cache, chain);
		chain_unref(&chain);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_true(has(cache, i, NOW));
	add(cache, 10); /* all were visited: the hand goes round once and takes the oldest */
	assert_false(has(cache, 0, NOW));
	assert_false(has(cache, 1, NOW + 2)); /* ended: dropped while the hand points at it */
	add(cache, 11);
	add(cache, 12);
	assert_int_equal(counts_of(cache).entries, 4);
	chain_cache_free(&cache);
}

static void
test_no_room_keeps_nothing(void **state)
{
	struct chain_cache *cache = cache_new(0);
	(void) state;
	add(cache, 1);
	assert_false(has(cache, 1, NOW));
	assert_int_equal(counts_of(cache).entries, 0);
	chain_cache_free(&cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_chain_owns_its_copies),
		cmocka_unit_test(test_found_while_it_is_valid),
		cmocka_unit_test(test_never_more_than_there_is_room_for),
		cmocka_unit_test(test_those_who_return_stay),
		cmocka_unit_test(test_the_hand_survives_what_it_points_at),
		cmocka_unit_test(test_no_room_keeps_nothing),
	};
	return cmocka_run_group_tests_name("chain-cache", tests, NULL, NULL);
}
