/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/address_pool.h"

#include <errno.h>
#include <string.h>

#include "config/core/values/bind_address.h"

static unsigned char *bytes_of(struct address *address, size_t *ret_len)
{
	bool is_v6 = address->any.sa_family == AF_INET6;

	*ret_len = is_v6 ? sizeof(address->v6.sin6_addr) : sizeof(address->v4.sin_addr);
	return is_v6 ? (unsigned char *)&address->v6.sin6_addr : (unsigned char *)&address->v4.sin_addr;
}

/* Of one family: as numbers. */
static int compare(const struct address *a, const struct address *b)
{
	struct address left = *a, right = *b;
	size_t len;
	const unsigned char *left_bytes = bytes_of(&left, &len), *right_bytes = bytes_of(&right, &len);

	return memcmp(left_bytes, right_bytes, len);
}

/* ------------------------------------------------------------------------------------ parsing */

static bool parse_one(struct span text, struct address *ret)
{
	if (address_parse_ip(span_trim(text), 0, ret) < 0)
		return false;
	address_unmap(ret);
	return true;
}

/* The first and the last address of a network. */
static bool parse_network(struct span text, size_t slash, struct address_range *range)
{
	uint64_t bits;
	size_t len;
	unsigned char *first, *last;

	if (!parse_one(span_first(text, slash), &range->first) ||
	    span_parse_u63(span_trim(span_from(text, slash + 1)), &bits) < 0)
		return false;
	range->last = range->first;
	first = bytes_of(&range->first, &len);
	last = bytes_of(&range->last, &len);
	if (bits > len * 8)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char host = (unsigned char)(bits >= 8 * (i + 1) ? 0
						     : bits <= 8 * i	 ? 0xff
									 : 0xff >> (bits % 8));

		first[i] &= (unsigned char)~host;
		last[i] |= host;
	}
	return true;
}

static bool parse_range(struct span text, struct address_range *range)
{
	ptrdiff_t slash = span_find(text, '/'), dash = span_find(text, '-');

	if (slash >= 0)
		return parse_network(text, (size_t)slash, range);
	if (dash < 0) {
		if (!parse_one(text, &range->first))
			return false;
		range->last = range->first;
		return true;
	}
	return parse_one(span_first(text, (size_t)dash), &range->first) &&
	       parse_one(span_from(text, (size_t)dash + 1), &range->last) &&
	       range->first.any.sa_family == range->last.any.sa_family &&
	       compare(&range->first, &range->last) <= 0;
}

int address_pool_parse(struct span text, struct address_pool *ret, struct text *why)
{
	struct span item;

	ret->range_count = 0;
	while (span_split(&text, ',', &item)) {
		struct address_range *range = &ret->range_list[ret->range_count];
		const char *wrong;

		item = span_trim(item);
		if (ret->range_count == ADDRESS_RANGES_MAX) {
			text_fmt(why, "more than %d addresses and ranges", ADDRESS_RANGES_MAX);
			return -EINVAL;
		}
		if (!parse_range(item, range)) {
			text_fmt(why,
				 item.len ? "%.*s is no address, network or range" : "there is nothing%.*s",
				 SPAN_FMT(item));
			return -EINVAL;
		}
		wrong = bind_address_fault(&range->first);
		if (!wrong)
			wrong = bind_address_fault(&range->last);
		if (!wrong && address_is_any(&range->first))
			wrong = "means all addresses";
		if (wrong) {
			text_fmt(why, "%.*s %s", SPAN_FMT(item), wrong);
			return -EINVAL;
		}
		ret->range_count++;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------ members */

bool address_pool_has(const struct address_pool *pool, const struct address *address)
{
	for (uint32_t i = 0; i < pool->range_count; i++) {
		const struct address_range *range = &pool->range_list[i];

		if (range->first.any.sa_family == address->any.sa_family &&
		    compare(&range->first, address) <= 0 && compare(address, &range->last) <= 0)
			return true;
	}
	return false;
}

static void add_one(struct address *address)
{
	size_t len;
	unsigned char *bytes = bytes_of(address, &len);

	while (len && ++bytes[len - 1] == 0)
		len--;
}

bool address_pool_next(const struct address_pool *pool, struct address_pool_walk *walk, struct address *ret)
{
	if (walk->is_inside && compare(&walk->at, &pool->range_list[walk->range].last) == 0) {
		walk->is_inside = false;
		walk->range++;
	}
	if (walk->range >= pool->range_count)
		return false;
	if (walk->is_inside)
		add_one(&walk->at);
	else
		walk->at = pool->range_list[walk->range].first;
	walk->is_inside = true;
	*ret = walk->at;
	return true;
}
