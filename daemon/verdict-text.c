/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verdict-text.c - verdicts in words. */
#include "verdict.h"

#include "cleanup.h"
#include "units.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

const char *
verdict_outcome_name(enum verdict_outcome outcome)
{
	static const char *const names[] = {
		[VERDICT_WARMING] = "warming",     [VERDICT_OK] = "ok",
		[VERDICT_SUSPECT] = "suspect",     [VERDICT_LIKELY] = "likely",
		[VERDICT_CONFIRMED] = "confirmed",
	};
	return (unsigned) outcome < ARRAY_LENGTH(names) ? names[outcome] : "unknown";
}

const char *verdict_class_name(enum verdict_class class)
{
	static const char *const names[] = {
		[VERDICT_NONE] = "none",
		[VERDICT_LEAK] = "leak",
		[VERDICT_CACHE_GROWTH] = "cache growth",
		[VERDICT_CLIENT_STATE] = "client state",
		[VERDICT_FRAGMENTATION] = "fragmentation",
		[VERDICT_GROWING_BUFFER] = "growing buffer",
	};
	return (unsigned) class < ARRAY_LENGTH(names) ? names[class] : "unknown";
}

struct sentence {
	char *text;
	size_t size, used;
};

static void PRINTF_LIKE(2, 3) sentence_add(struct sentence *sentence, const char *format, ...)
{
	va_list arguments;

	if (sentence->used >= sentence->size)
		return;
	va_start(arguments, format);
	int length = vsnprintf(sentence->text + sentence->used, sentence->size - sentence->used, format, arguments);
	va_end(arguments);
	if (length > 0)
		sentence->used += (size_t) length;
}

/* As many digits as the reader can use. */
static int
digits_of(double value)
{
	return value >= 100 || value == 0 ? 0 : value >= 10 ? 1 : 2;
}

static void
sentence_rate(struct sentence *sentence, const struct verdict *verdict)
{
	double reach = fmax(verdict->rate_high - verdict->rate, verdict->rate - verdict->rate_low);

	sentence_add(sentence, "%.*f", digits_of(verdict->rate), verdict->rate);
	if (reach > 0)
		sentence_add(sentence, " ± %.*f", digits_of(fmin(verdict->rate, reach)), reach);
	sentence_add(sentence, " bytes per %s", signals_axis_name(verdict->axis));
	/* By the request is how anybody would count what cannot be told apart. */
	if (!verdict->separable && verdict->axis != SIGNALS_REQUESTS)
		sentence_add(sentence, " (the traffic does not tell other causes apart)");
}

static const char *
sentence_verb(const struct verdict *verdict)
{
	switch (verdict->class) {
	case VERDICT_CLIENT_STATE:
		return "keeps ";
	case VERDICT_GROWING_BUFFER:
		return "a buffer grows by ";
	case VERDICT_CACHE_GROWTH:
		return "a cache grows by ";
	case VERDICT_NONE:
	case VERDICT_LEAK:
	case VERDICT_FRAGMENTATION:
		break;
	}
	return verdict->outcome == VERDICT_CONFIRMED ? "leaks "
	       : verdict->outcome == VERDICT_LIKELY  ? "probably leaks "
						     : "may leak ";
}

/* Where it stands, of what ends somewhere: with the last new client, with the buffer's last doubling. */
static void
sentence_extent(struct sentence *sentence, const struct verdict *verdict)
{
	char words[32];

	if (verdict->class == VERDICT_CLIENT_STATE && verdict->axis == SIGNALS_CLIENTS && verdict->clients > 0)
		sentence_add(sentence, ", %s for the %" PRIu64 " seen so far",
			     units_format_size((uint64_t) fmin(verdict->rate * (double) verdict->clients, 0x1p63),
					       words, sizeof(words)),
			     verdict->clients);
	if (verdict->class == VERDICT_GROWING_BUFFER && verdict->largest > 0)
		sentence_add(sentence, ", its largest block is %s by now",
			     units_format_size(verdict->largest, words, sizeof(words)));
}

void
verdict_sentence(const struct verdict *verdict, char *ret, size_t size)
{
	struct sentence sentence = {.text = ret, .size = size};
	char words[32];

	if (size == 0)
		return;
	ret[0] = '\0';
	if (verdict->outcome == VERDICT_WARMING) {
		sentence_add(&sentence, verdict->class == VERDICT_CACHE_GROWTH
						? "a cache had grown, and gave it back when told to; watching anew"
						: "too young to be judged");
		return;
	}
	if (verdict->outcome == VERDICT_OK) {
		sentence_add(&sentence, "no growth that lasts");
		return;
	}
	if (verdict->class == VERDICT_FRAGMENTATION) {
		sentence_add(&sentence,
			     "holds %s more in pages without blocks than before, while what lives stays: fragmentation",
			     units_format_size(verdict->grown, words, sizeof(words)));
		return;
	}
	sentence_add(&sentence, "%s", sentence_verb(verdict));
	sentence_rate(&sentence, verdict);
	sentence_extent(&sentence, verdict);
	if (verdict->foreign)
		sentence_add(&sentence, ", through a library");
	if (verdict->seconds_to_limit >= 0)
		sentence_add(&sentence, ", %s to its limit",
			     units_format_duration((uint64_t) fmin(verdict->seconds_to_limit * 1e6, 1e18), words,
						   sizeof(words)));
	if (verdict->outcome == VERDICT_CONFIRMED)
		sentence_add(&sentence, ", confirmed by probe");
}
