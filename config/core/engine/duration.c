/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/engine/duration.h"

#include "user/base/check.h"
#include "user/base/char_class.h"
#include "user/base/text.h"
#include "user/base/units.h"

#define NS_PER_MINUTE (60ull * NS_PER_S)
#define NS_PER_HOUR (3600ull * NS_PER_S)

struct unit {
	const char *name;
	uint64_t ns;
	bool is_gep2257;
};

/* Both the micro sign U+00B5 and the Greek letter U+03BC, as in Go. */
static const struct unit units[] = {
	{ "ns", 1, false },
	{ "us", NS_PER_US, false },
	{ "\xc2\xb5s", NS_PER_US, false },
	{ "\xce\xbcs", NS_PER_US, false },
	{ "ms", NS_PER_MS, true },
	{ "s", NS_PER_S, true },
	{ "m", NS_PER_MINUTE, true },
	{ "h", NS_PER_HOUR, true },
};

static const struct unit *take_unit(struct span *rest)
{
	size_t len = 0;

	while (len < rest->len && !octet_is(rest->data[len], OCTET_DIGIT) && rest->data[len] != '.')
		len++;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (span_eq(span_first(*rest, len), span_str(units[i].name))) {
			*rest = span_from(*rest, len);
			return &units[i];
		}
	}
	return NULL;
}

/* Parses the digits before the point; false if they exceed the maximum duration. */
static bool take_whole(struct span *rest, uint64_t *ret)
{
	uint64_t value = 0;

	while (rest->len && octet_is(rest->data[0], OCTET_DIGIT)) {
		if (value > (uint64_t)INT64_MAX / 10)
			return false;
		value = value * 10 + (uint64_t)(rest->data[0] - '0');
		*rest = span_from(*rest, 1);
	}
	*ret = value;
	return value <= INT64_MAX;
}

/* Parses the digits after the point as fraction / scale. Drops those below a nanosecond. */
static void take_fraction(struct span *rest, uint64_t *ret_fraction, uint64_t *ret_scale)
{
	uint64_t fraction = 0, scale = 1;

	for (; rest->len && octet_is(rest->data[0], OCTET_DIGIT); *rest = span_from(*rest, 1)) {
		if (scale >= 100000000000000000u)
			continue;
		fraction = fraction * 10 + (uint64_t)(rest->data[0] - '0');
		scale *= 10;
	}
	*ret_fraction = fraction;
	*ret_scale = scale;
}

static enum duration_result take_group(struct span *rest, uint64_t *sum_ns)
{
	uint64_t whole, fraction = 0, scale = 1;
	size_t before = rest->len, digits;
	const struct unit *unit;
	unsigned __int128 ns;

	if (!take_whole(rest, &whole))
		return DURATION_TOO_LARGE;
	digits = before - rest->len;
	if (rest->len && rest->data[0] == '.') {
		*rest = span_from(*rest, 1);
		before = rest->len;
		take_fraction(rest, &fraction, &scale);
		digits += before - rest->len;
	}
	if (digits == 0)
		return DURATION_NO_NUMBER;
	if (rest->len == 0 || rest->data[0] == '.')
		return DURATION_NO_UNIT;
	unit = take_unit(rest);
	if (!unit)
		return DURATION_UNKNOWN_UNIT;
	ns = (unsigned __int128)whole * unit->ns + (unsigned __int128)fraction * unit->ns / scale + *sum_ns;
	if (ns > INT64_MAX)
		return DURATION_TOO_LARGE;
	*sum_ns = (uint64_t)ns;
	return DURATION_OK;
}

enum duration_result duration_parse(struct span s, uint64_t *ret_ns)
{
	uint64_t ns = 0;

	if (s.len == 0)
		return DURATION_EMPTY;
	if (s.data[0] == '-')
		return DURATION_NEGATIVE;
	if (s.data[0] == '+')
		s = span_from(s, 1);
	if (s.len == 0)
		return DURATION_NO_NUMBER;
	if (!span_eq(s, SPAN("0"))) {
		while (s.len) {
			enum duration_result result = take_group(&s, &ns);

			if (result != DURATION_OK)
				return result;
		}
	}
	*ret_ns = ns;
	return DURATION_OK;
}

enum duration_result duration_parse_gep2257(struct span s, uint64_t *ret_ns)
{
	uint64_t ns = 0;

	if (s.len == 0)
		return DURATION_EMPTY;
	if (s.data[0] == '-')
		return DURATION_NEGATIVE;
	for (int groups = 0; s.len; groups++) {
		const struct unit *unit;
		uint64_t value = 0;
		size_t digits = 0;

		if (groups == 4)
			return DURATION_TOO_MANY_GROUPS;
		for (; digits < s.len && octet_is(s.data[digits], OCTET_DIGIT); digits++) {
			if (digits == 5)
				return DURATION_TOO_MANY_DIGITS;
			value = value * 10 + (uint64_t)(s.data[digits] - '0');
		}
		s = span_from(s, digits);
		if (s.len && s.data[0] == '.')
			return DURATION_DECIMALS;
		if (digits == 0)
			return DURATION_NO_NUMBER;
		if (s.len == 0)
			return DURATION_NO_UNIT;
		unit = take_unit(&s);
		if (!unit)
			return DURATION_UNKNOWN_UNIT;
		if (!unit->is_gep2257)
			return DURATION_SMALL_UNIT;
		ns += value * unit->ns;
	}
	*ret_ns = ns;
	return DURATION_OK;
}

const char *duration_advice(enum duration_result result)
{
	switch (result) {
	case DURATION_OK:
		return "";
	case DURATION_EMPTY:
		return "is empty; write a number with a unit, such as 30s or 500ms";
	case DURATION_NEGATIVE:
		return "is negative; write a duration of 0s or more";
	case DURATION_NO_UNIT:
		return "has no unit; add one: 5s, 500ms, 1m30s, 1h";
	case DURATION_UNKNOWN_UNIT:
		return "has a unit that does not exist here; use h, m, s or ms (one day is 24h)";
	case DURATION_NO_NUMBER:
		return "has a unit without a number; write a number before each unit, such as 1m30s";
	case DURATION_TOO_LARGE:
		return "is too long; the longest duration is about 292 years (2562047h)";
	case DURATION_DECIMALS:
		return "has decimals, which Kubernetes manifests do not allow; write 1s500ms instead of 1.5s";
	case DURATION_SMALL_UNIT:
		return "is finer than Kubernetes manifests allow; use h, m, s or ms";
	case DURATION_TOO_MANY_GROUPS:
		return "has more than four parts; write at most h, m, s and ms once each";
	case DURATION_TOO_MANY_DIGITS:
		return "has a number of more than five digits, which Kubernetes manifests do not allow; use "
		       "a larger unit";
	}
	return "";
}

static size_t add_number(char *out, uint64_t value, uint64_t unit)
{
	size_t len = text_u64(out, value / unit);
	uint64_t rest = value % unit;

	if (rest == 0)
		return len;
	out[len++] = '.';
	while (rest) {
		unit /= 10;
		out[len++] = (char)('0' + rest / unit);
		rest %= unit;
	}
	return len;
}

static size_t add_unit(char *out, const char *unit)
{
	size_t len = strlen(unit);

	memcpy(out, unit, len);
	return len;
}

static uint64_t round_to(uint64_t ns, uint64_t step)
{
	return (ns + step / 2) / step * step;
}

size_t duration_format(uint64_t ns, char out[DURATION_TEXT_BYTES])
{
	size_t len = 0;

	if (ns >= NS_PER_S)
		ns = round_to(ns, NS_PER_MS);
	else if (ns >= NS_PER_MS)
		ns = round_to(ns, NS_PER_US);
	if (ns == 0)
		return add_unit(out, "0s");
	if (ns < NS_PER_US) {
		len = add_number(out, ns, 1);
		return len + add_unit(out + len, "ns");
	}
	if (ns < NS_PER_MS) {
		len = add_number(out, ns, NS_PER_US);
		return len + add_unit(out + len, "\xc2\xb5s");
	}
	if (ns < NS_PER_S) {
		len = add_number(out, ns, NS_PER_MS);
		return len + add_unit(out + len, "ms");
	}
	if (ns >= NS_PER_HOUR) {
		len += text_u64(out, ns / NS_PER_HOUR);
		out[len++] = 'h';
	}
	if (ns >= NS_PER_MINUTE) {
		len += text_u64(out + len, ns / NS_PER_MINUTE % 60);
		out[len++] = 'm';
	}
	len += add_number(out + len, ns % NS_PER_MINUTE, NS_PER_S);
	return len + add_unit(out + len, "s");
}
