/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* nonces-file.h - the file of a table of nonces: a header, then the table's slots as they lie in memory.
 *
 * One that is written whole appears under its name at once or not at all. A slot is written by one pwrite, which
 * outlives the process; the machine's own end is told by `closed` and the file's time of change (nonces.h, horizon).
 *
 * Threads: one at a time for a file. Owns: an open file is locked for this process (F_OFD_SETLK).
 */
#include "error.h"
#include "nonces-table.h"

struct nonces_header {
	char magic[8];
	uint32_t buckets; /* of NONCES_WAYS slots; a power of two */
	uint32_t closed;  /* 1: all was written out before it was closed */
	int64_t window, skew, horizon;
	uint8_t salt[16];
};

/* Opens PATH, or makes an empty file. -EBUSY: another process has it. */
int nonces_file_open(const char *path, int *ret, struct error *error);
/* Header and slots (malloced), and when the file was last written. -ENODATA: it is empty. -EBADMSG: it is no file of
 * nonces, or not all of one. */
int nonces_file_read(int fd, struct nonces_header *ret, struct nonces_slot **ret_slots, int64_t *ret_written);
/* Writes PATH anew, to the disk, and puts the new file's descriptor in the place of *fd: also where it fails at the
 * very end, when only the folder could not be written out. */
int nonces_file_replace(const char *path, const struct nonces_header *header, const struct nonces_slot *slots, int *fd);
int nonces_file_put(int fd, size_t index, const struct nonces_slot *slot);
/* To the disk: the header, and everything before it. */
int nonces_file_seal(int fd, const struct nonces_header *header);
