/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nonces-place.h"

#include "nonces-file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

const struct nonces_settings nonces_usual = {.window = WINDOW, .skew = SKEW, .capacity = 1000};
const struct nonces_settings nonces_none = {.window = 0};
const struct nonces_time nonces_noon = {.now = NOON, .boot = NOON - 3600};

int
place_setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->root, "/tmp/test-nonces.XXXXXX");
	assert_non_null(mkdtemp(place->root));
	(void) snprintf(place->file, sizeof(place->file), "%s/orders", place->root);
	(void) snprintf(place->draft, sizeof(place->draft), "%s.draft", place->file);
	assert_int_equal(nonces_new("orders", &place->nonces), 0);
	*state = place;
	return 0;
}

int
place_teardown(void **state)
{
	struct place *place = *state;

	nonces_free(&place->nonces);
	(void) unlink(place->file);
	assert_int_equal(rmdir(place->root), 0); /* nothing but the file was left */
	free(place);
	return 0;
}

void
place_open(struct place *place, const struct nonces_settings *settings, const struct nonces_time *time)
{
	struct error error = {0};

	if (nonces_open(place->nonces, place->root, settings, time, &error) < 0)
		fail_msg("%s", error.text);
}

int
place_accept(struct place *place, unsigned number, int64_t signed_at, int64_t now)
{
	char nonce[32];
	int length = snprintf(nonce, sizeof(nonce), "nonce %u", number);

	return nonces_accept(place->nonces, nonce, (size_t) length, signed_at, now);
}

void
place_lose(struct place *place)
{
	char kept[100];

	(void) snprintf(kept, sizeof(kept), "%s.kept", place->file);
	assert_int_equal(link(place->file, kept), 0);
	assert_int_equal(unlink(place->file), 0);
	/* What its destructor does to the other name's file is undone by writing the header back. */
	int fd = open(kept, O_RDWR | O_CLOEXEC);
	struct nonces_header header;
	struct stat st;
	assert_true(fd >= 0 && pread(fd, &header, sizeof(header), 0) == sizeof(header) && fstat(fd, &st) == 0);
	nonces_free(&place->nonces);
	assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	const struct timespec times[2] = {st.st_atim, st.st_mtim};
	assert_int_equal(futimens(fd, times), 0);
	(void) close(fd);
	assert_int_equal(rename(kept, place->file), 0);
	assert_int_equal(nonces_new("orders", &place->nonces), 0);
}

void
place_reopen(struct place *place, const struct nonces_settings *settings, const struct nonces_time *time)
{
	nonces_free(&place->nonces);
	assert_int_equal(nonces_new("orders", &place->nonces), 0);
	place_open(place, settings, time);
}

void
place_written_at(const struct place *place, int64_t seconds)
{
	const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};

	assert_int_equal(utimensat(AT_FDCWD, place->file, times, 0), 0);
}

struct nonces_report
place_report(struct place *place, int64_t now)
{
	struct nonces_report seen;

	nonces_read(place->nonces, now, &seen);
	return seen;
}
