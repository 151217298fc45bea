/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* record.c - writes records; record-read.c reads them. */
#include "record.h"

#include "cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void
write_exposure(FILE *out, const struct signals_exposure *exposure)
{
	for (unsigned a = 0; a < SIGNALS_AXES; a++)
		fprintf(out, " %" PRIu64, exposure->count[a]);
}

static void
write_input(FILE *out, const struct verdict_input *input)
{
	const struct verdict_settings *settings = &input->settings;
	const struct verdict_probes *probes = &input->probes;

	fprintf(out, "mtlsd-record 1\n");
	fprintf(out, "settings %a %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", settings->min_rate, settings->min_growth,
		settings->warm_up_time, settings->warm_up_requests);
	fprintf(out, "plugin %" PRIu64 " %s\n", input->hard_limit, input->has_evict ? "evict" : "no-evict");
	fprintf(out,
		"probes %u %u %s %s %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRIu64 " %" PRIu64
		" %a %a %a %u %s\n",
		probes->done, probes->rejected, probes->running ? "running" : "idle",
		probes->confirmed ? "confirmed" : "open", (unsigned) probes->class, probes->residual_first,
		probes->residual_second, probes->interval_requests, probes->objects_grown, probes->survived,
		probes->walk_age, probes->rate, probes->begin_rate, probes->rejected_rate, (unsigned) probes->axis,
		probes->separable ? "separable" : "not-separable");
	fputs("intervals", out);
	write_exposure(out, &probes->first);
	write_exposure(out, &probes->second);
	fputc('\n', out);
}

static void
write_history(FILE *out, const struct signals_history *history)
{
	const struct signals_sample *last = &history->last;

	fprintf(out, "began %" PRIu64, history->began);
	write_exposure(out, &history->before);
	fputs("\nlast", out);
	write_exposure(out, &last->exposure);
	fprintf(out,
		" %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu32 "\n",
		last->live_bytes, last->live_objects, last->arena_bytes, last->foreign_bytes, last->resident_bytes,
		last->largest_bytes, last->inflight, last->open_connections);
	for (unsigned scale = 0; scale < SIGNALS_SCALES; scale++) {
		if (history->kept[scale] == 0)
			continue;
		fprintf(out, "scale %u %" PRIu64 " %u\n", scale, history->blocks[scale], history->kept[scale]);
		for (unsigned i = 0; i < history->kept[scale]; i++) {
			const struct signals_block *block = &history->block[scale][i];
			fputs("block", out);
			write_exposure(out, &block->exposure);
			fprintf(out, " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", block->floor,
				block->foreign, block->objects, block->largest, block->resident);
		}
	}
	for (unsigned scale = 0; scale < SIGNALS_MOMENT_SCALES; scale++) {
		const struct signals_moments *moments = &history->moments[scale];
		if (moments->count == 0)
			continue;
		fprintf(out, "moments %u %" PRIu64, scale, moments->count);
		for (unsigned a = 0; a < SIGNALS_AXES; a++)
			for (unsigned b = a; b < SIGNALS_AXES; b++)
				fprintf(out, " %a", moments->xx[a][b]);
		for (unsigned a = 0; a < SIGNALS_AXES; a++)
			fprintf(out, " %a", moments->xy[a]);
		fprintf(out, " %a\n", moments->yy);
	}
}

static void
write_walk(FILE *out, const char *which, uint32_t epoch, const struct verdict_site *sites, size_t count,
	   const char *(*name)(const struct verdict_site *site, void *ctx), void *ctx)
{
	if (sites == NULL)
		return;
	if (count > RECORD_SITES)
		count = RECORD_SITES;
	fprintf(out, "walk %s %" PRIu32 " %zu\n", which, epoch, count);
	for (size_t i = 0; i < count; i++) {
		const struct verdict_site *site = &sites[i];
		const char *called = name ? name(site, ctx) : NULL;
		fprintf(out, "site 0x%" PRIxPTR " %s %" PRIu64 " %" PRIu64, site->site,
			site->foreign ? "foreign" : "own", site->bytes, site->objects);
		for (unsigned k = 0; k < VERDICT_COHORTS; k++)
			if (site->age_bytes[k] > 0)
				fprintf(out, " %u:%" PRIu64, k, site->age_bytes[k]);
		if (called && *called) {
			char clean[RECORD_NAME];
			snprintf(clean, sizeof(clean), "%s", called);
			error_clean(clean);
			fprintf(out, " = %s", clean);
		}
		fputc('\n', out);
	}
}

int
record_write(const struct verdict_input *input, const char *(*name)(const struct verdict_site *site, void *ctx),
	     void *ctx, char **ret, size_t *ret_length)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (out == NULL)
		return -ENOMEM;
	write_input(out, input);
	write_history(out, input->history);
	write_walk(out, "newest", input->epoch, input->sites, input->site_count, name, ctx);
	write_walk(out, "earlier", input->earlier_epoch, input->earlier, input->earlier_count, name, ctx);
	fputs("end\n", out);
	bool failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed || !text) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	*ret_length = length;
	return 0;
}
