/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "moments.h"

#include "cleanup.h"

#include <math.h>
#include <string.h>

enum {
	COLLAPSE_BYTES = 4096, /* what a floor may always sink without being called a collapse */
};

/* A collapse (an eviction, the end of a saw's tooth) says nothing of what causes growth and would drown what does. */
static bool
is_collapse(const struct moments *moments, float rise)
{
	return rise < 0 && -rise > 8 * moments->usual + COLLAPSE_BYTES;
}

static double
units_of(const struct ladder_step *step, enum signals_axis axis)
{
	double served = ladder_served(step, axis);

	return axis == SIGNALS_SECONDS ? served / 1e6 : served;
}

/* One more point. Source: Welford's updating of sums of squares, 1962. */
static void
half_add(struct moments_half *half, const double step[SIGNALS_AXES], double rise)
{
	double x[SIGNALS_AXES], y = (double) half->y + rise, share = 1 - 1.0 / ++half->count;
	unsigned pair = 0;

	for (unsigned a = 0; a < SIGNALS_AXES; a++)
		x[a] = (double) half->x[a] + step[a];
	for (unsigned a = 0; a < SIGNALS_AXES; a++) {
		for (unsigned b = a; b < SIGNALS_AXES; b++, pair++)
			half->xx[pair] = (float) ((double) half->xx[pair] + x[a] * x[b] * share);
		half->xy[a] = (float) ((double) half->xy[a] + x[a] * y * share);
		half->x[a] = (float) (x[a] * share);
	}
	half->yy = (float) ((double) half->yy + y * y * share);
	half->y = (float) (y * share);
}

void
moments_add(struct moments *moments, const struct ladder_step *step)
{
	double units[SIGNALS_AXES];

	if (is_collapse(moments, step->floor))
		return;
	moments->usual += (fabsf(step->floor) - moments->usual) / 16;
	for (unsigned a = 0; a < SIGNALS_AXES; a++) {
		units[a] = units_of(step, (enum signals_axis) a);
		moments->x[a] += (float) units[a];
	}
	moments->y += step->floor;
	half_add(&moments->now, units, (double) step->floor);
	if (moments->now.count < MOMENTS_BLOCKS)
		return;
	moments->past = moments->now;
	memset(&moments->now, 0, sizeof(moments->now));
	memset(moments->x, 0, sizeof(moments->x));
	moments->y = 0;
}

static void
half_read(const struct moments_half *half, struct signals_moments *ret)
{
	unsigned pair = 0;

	memset(ret, 0, sizeof(*ret));
	ret->count = half->count;
	for (unsigned a = 0; a < SIGNALS_AXES; a++) {
		for (unsigned b = a; b < SIGNALS_AXES; b++)
			ret->xx[a][b] = (double) half->xx[pair++];
		ret->xy[a] = (double) half->xy[a];
	}
	ret->yy = (double) half->yy;
}

/* Both halves as one: the second begins where the first ended. Source: Chan, Golub and LeVeque, 1979. */
void
moments_read(const struct moments *moments, struct signals_moments *ret)
{
	const struct moments_half *past = &moments->past, *now = &moments->now;
	struct signals_moments more;
	double x[SIGNALS_AXES], y = (double) moments->y - (double) now->y + (double) past->y;

	half_read(past->count > 0 ? past : now, ret);
	if (past->count == 0 || now->count == 0)
		return;
	half_read(now, &more);
	double weight = (double) ret->count * (double) more.count / (double) (ret->count + more.count);
	for (unsigned a = 0; a < SIGNALS_AXES; a++)
		x[a] = (double) moments->x[a] - (double) now->x[a] + (double) past->x[a];
	for (unsigned a = 0; a < SIGNALS_AXES; a++) {
		for (unsigned b = a; b < SIGNALS_AXES; b++)
			ret->xx[a][b] += more.xx[a][b] + weight * x[a] * x[b];
		ret->xy[a] += more.xy[a] + weight * x[a] * y;
	}
	ret->yy += more.yy + weight * y * y;
	ret->count += more.count;
}
