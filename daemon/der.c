/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "der.h"

bool
der_take(struct der *from, uint8_t tag, struct der *ret_content, struct der *ret_whole)
{
	const uint8_t *at = from->data;
	if (from->size < 2 || at[0] != tag)
		return false;
	size_t head = 2, length = at[1];
	if (length > 0x7f) {
		size_t bytes = length & 0x7f;
		if (bytes == 0 || bytes > 3 || from->size < 2 + bytes)
			return false;
		length = 0;
		for (size_t i = 0; i < bytes; i++)
			length = length << 8 | at[2 + i];
		if (length < 0x80 || length >> (8 * (bytes - 1)) == 0) /* a shorter form would do */
			return false;
		head += bytes;
	}
	if (length > from->size - head)
		return false;
	if (ret_content)
		*ret_content = (struct der){at + head, length};
	if (ret_whole)
		*ret_whole = (struct der){at, head + length};
	from->data += head + length;
	from->size -= head + length;
	return true;
}

bool
der_take_last(struct der *from, uint8_t tag, struct der *ret_content)
{
	struct der rest = *from;
	if (!der_take(&rest, tag, ret_content, NULL) || rest.size)
		return false;
	*from = rest;
	return true;
}

bool
der_take_number(struct der *from, uint64_t *ret)
{
	struct der rest = *from, content;
	if (!der_take(&rest, DER_INTEGER, &content, NULL) || !content.size || content.data[0] & 0x80)
		return false;
	if (content.size > 1 && content.data[0] == 0) {
		if (!(content.data[1] & 0x80))
			return false;
		content = (struct der){content.data + 1, content.size - 1};
	}
	if (content.size > sizeof(*ret))
		return false;
	uint64_t number = 0;
	for (size_t i = 0; i < content.size; i++)
		number = number << 8 | content.data[i];
	*from = rest;
	*ret = number;
	return true;
}

bool
der_take_flags(struct der *from, unsigned *ret)
{
	struct der rest = *from, content;
	if (!der_take(&rest, DER_BITS, &content, NULL) || content.size < 2 || content.size > 3 || content.data[0] > 7)
		return false;
	/* X.690, 11.2.2: no zeros at the end. */
	if (!(content.data[content.size - 1] >> content.data[0] & 1) ||
	    content.data[content.size - 1] & ((1 << content.data[0]) - 1))
		return false;
	unsigned flags = 0;
	for (size_t i = 0; i < 8 * (content.size - 1); i++)
		if (content.data[1 + i / 8] & 0x80 >> i % 8)
			flags |= 1U << i;
	*from = rest;
	*ret = flags;
	return true;
}

static bool
take_arc(struct der *from, uint32_t *ret)
{
	uint32_t arc = 0;
	for (size_t i = 0; i < from->size && i < 4; i++) {
		if (i == 0 && from->data[0] == 0x80)
			return false;
		arc = arc << 7 | (from->data[i] & 0x7f);
		if (from->data[i] & 0x80)
			continue;
		*from = (struct der){from->data + i + 1, from->size - i - 1};
		*ret = arc;
		return true;
	}
	return false;
}

static size_t
write_number(uint32_t number, char *to)
{
	char digits[10];
	size_t count = 0, i = 0;
	do
		digits[count++] = (char) ('0' + number % 10);
	while ((number /= 10) != 0);
	while (count)
		to[i++] = digits[--count];
	return i;
}

bool
der_write_oid(const struct der *oid, char *ret, size_t size)
{
	struct der rest = *oid;
	size_t used = 0;
	uint32_t arc;
	if (!rest.size)
		return false;
	while (rest.size) {
		if (size - used < 14 || !take_arc(&rest, &arc))
			return false;
		if (used == 0) {
			uint32_t top = arc < 80 ? arc / 40 : 2;
			ret[used++] = (char) ('0' + top);
			arc -= top * 40;
		}
		ret[used++] = '.';
		used += write_number(arc, ret + used);
	}
	ret[used] = '\0';
	return true;
}

/* --- times ------------------------------------------------------------------------------------------------------- */

static bool
two_digits(const uint8_t *text, unsigned from, unsigned to, unsigned *ret)
{
	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
		return false;
	*ret = (unsigned) (text[0] - '0') * 10 + (unsigned) (text[1] - '0');
	return *ret >= from && *ret <= to;
}

/* Days from 1970 to the first of a month. */
static int64_t
days_before(unsigned year, unsigned month)
{
	static const unsigned short before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	unsigned past = year - 1; /* whole years, for the leap days */
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	int64_t days = (int64_t) (year - 1970) * 365 + past / 4 - past / 100 + past / 400 - 477;
	return days + before[month - 1] + (leap && month > 2);
}

bool
der_take_time(struct der *from, int64_t *ret)
{
	struct der rest = *from, content;
	unsigned century = 20, year, month, day, hour, minute, second;
	bool is_long = der_tag(from) == DER_TIME;
	if (!der_take(&rest, is_long ? DER_TIME : DER_UTC_TIME, &content, NULL) || content.size != (is_long ? 15 : 13))
		return false;
	const uint8_t *text = content.data;
	if (is_long && !two_digits(text, 20, 99, &century))
		return false;
	text += is_long ? 2 : 0;
	/* Two digits mean 1950 to 2049, and four are for what two cannot say. */
	if (!two_digits(text, 0, is_long ? 99 : 49, &year) || !two_digits(text + 2, 1, 12, &month) ||
	    !two_digits(text + 4, 1, 31, &day) || !two_digits(text + 6, 0, 23, &hour) ||
	    !two_digits(text + 8, 0, 59, &minute) || !two_digits(text + 10, 0, 59, &second) || text[12] != 'Z')
		return false;
	year += century * 100;
	if (is_long && (year < 2050 || year > 9998)) /* 9999: no end at all */
		return false;
	int64_t days = days_before(year, month) + day - 1,
		end = month == 12 ? days_before(year + 1, 1) : days_before(year, month + 1);
	if (days >= end)
		return false;
	*from = rest;
	*ret = ((days * 24 + hour) * 60 + minute) * 60 + second;
	return true;
}
