/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* heap-work.c - what the heap benchmark makes an allocator do: a shared object, as a plugin is, that knows malloc only.
 *
 * Every function prints nothing and returns its figure. Memory is touched as a program would touch it. */
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIVE 1024

/* The calling thread's own time: what else the machine does is left out. */
static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

static unsigned
next(unsigned *random)
{
	*random = *random * 1664525 + 1013904223;
	return *random >> 8;
}

static pthread_barrier_t start;

static void *
pair_thread(void *arg)
{
	enum { ROUNDS = 4000000 };
	unsigned random = 12345 + (unsigned) (uintptr_t) arg;
	char **live = calloc(LIVE, sizeof(*live));
	double *result = malloc(sizeof(*result));

	for (int i = 0; i < LIVE; i++)
		live[i] = malloc(16 + next(&random) % 1009);
	pthread_barrier_wait(&start);
	double begun = now();
	for (int i = 0; i < ROUNDS; i++) {
		unsigned at = next(&random) % LIVE;
		free(live[at]);
		live[at] = malloc(16 + next(&random) % 1009);
		*live[at] = 1;
	}
	*result = (now() - begun) / ROUNDS;
	for (int i = 0; i < LIVE; i++)
		free(live[i]);
	free(live);
	return result;
}

/* ns per malloc+free pair, 16..1024 bytes, 1,024 live, in each of so many threads at once. */
double
work_pair(int threads)
{
	pthread_t id[16];
	double sum = 0, *result;

	pthread_barrier_init(&start, NULL, (unsigned) threads);
	for (int i = 1; i < threads; i++)
		pthread_create(&id[i], NULL, pair_thread, (void *) (intptr_t) i);
	result = pair_thread(NULL);
	sum = *result;
	free(result);
	for (int i = 1; i < threads; i++) {
		void *other;
		pthread_join(id[i], &other);
		sum += *(double *) other;
		free(other);
	}
	pthread_barrier_destroy(&start);
	return sum / threads;
}

enum { BATCH = 4096, BATCHES = 800 };

static void *batches[2][BATCH];
static pthread_barrier_t turn;

/* Frees one batch while the other thread makes the next. */
static void *
consume(void *spent)
{
	for (int i = 0; i < BATCHES; i++) {
		pthread_barrier_wait(&turn);
		double begun = now();
		for (int k = 0; k < BATCH; k++)
			free(batches[i % 2][k]);
		*(double *) spent += now() - begun;
	}
	return NULL;
}

/* ns per block made by one thread and freed by another, 16..1024 bytes, in batches of 4,096: both threads' work, not
 * what they wait for each other. */
double
work_remote(void)
{
	double made = 0, freed = 0;
	unsigned random = 1;
	pthread_t id;

	pthread_barrier_init(&turn, NULL, 2);
	pthread_create(&id, NULL, consume, &freed);
	for (int i = 0; i < BATCHES; i++) {
		double begun = now();
		for (int k = 0; k < BATCH; k++) {
			char *block = malloc(16 + next(&random) % 1009);
			*block = 1;
			batches[i % 2][k] = block;
		}
		made += now() - begun;
		pthread_barrier_wait(&turn);
	}
	pthread_join(id, NULL);
	pthread_barrier_destroy(&turn);
	return (made + freed) / BATCH / BATCHES;
}

/* ns per pair of 64 KiB .. 1 MiB blocks, 16 live, one page touched. */
double
work_large(void)
{
	enum { ROUNDS = 200000, KEPT = 16 };
	unsigned random = 1;
	char *live[KEPT] = {NULL};

	double begun = now();
	for (int i = 0; i < ROUNDS; i++) {
		unsigned at = next(&random) % KEPT;
		free(live[at]);
		live[at] = malloc(65536 + next(&random) % (1 << 20));
		*live[at] = 1;
	}
	double spent = (now() - begun) / ROUNDS;
	for (int i = 0; i < KEPT; i++)
		free(live[i]);
	return spent;
}

/* One request: strings, a table that grows, a body, all gone at its end. */
void
work_request(unsigned *random)
{
	char *text[24], *table = malloc(64), *body = malloc(2000 + next(random) % 6000);

	for (int i = 0; i < 24; i++) {
		text[i] = malloc(16 + next(random) % 200);
		text[i][0] = 1;
	}
	for (size_t size = 128; size <= 2048; size *= 2)
		table = realloc(table, size);
	body[0] = table[0] = 1;
	for (int i = 0; i < 24; i++)
		free(text[i]);
	free(table);
	free(body);
}

static size_t
log_uniform(unsigned *random)
{
	return (size_t) (16 * pow(4096, (next(random) & 0xffff) / 65536.0));
}

/* Fills `live` bytes with blocks of 16 B .. 64 KiB, log-uniform, and replaces each some times. Returns requested bytes.
 */
double
work_mixed(double live)
{
	static char *blocks[1 << 18];
	static size_t sizes[1 << 18];
	unsigned random = 7, count = 0;
	double requested = 0;

	while (requested < live && count < 1 << 18) {
		sizes[count] = log_uniform(&random);
		blocks[count] = malloc(sizes[count]);
		memset(blocks[count], 1, sizes[count]);
		requested += (double) sizes[count++];
	}
	for (unsigned i = 0; i < count * 4; i++) {
		unsigned at = next(&random) % count;
		free(blocks[at]);
		requested -= (double) sizes[at];
		sizes[at] = log_uniform(&random);
		blocks[at] = malloc(sizes[at]);
		memset(blocks[at], 1, sizes[at]);
		requested += (double) sizes[at];
	}
	return requested;
}

/* So many live blocks of 16..1024 bytes, touched, and kept. */
void
work_fill(unsigned long bytes, unsigned long most)
{
	unsigned random = 3;

	while (bytes > 1024 && most-- > 0) {
		size_t size = 16 + next(&random) % 1009;
		memset(malloc(size), 1, size);
		bytes -= size;
	}
}
