/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/origin.h"

#include "user/base/char_class.h"

/* RFC 3986 3.1 */
static bool is_scheme(struct span text)
{
	if (!text.len || !((text.data[0] | 0x20) >= 'a' && (text.data[0] | 0x20) <= 'z'))
		return false;
	for (size_t i = 1; i < text.len; i++) {
		char c = text.data[i];

		if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !octet_is(c, OCTET_DIGIT) && c != '+' &&
		    c != '-' && c != '.')
			return false;
	}
	return true;
}

/* The bytes of names and IPv4 addresses that a browser sends; it has punycode for others. */
static bool is_host_byte(char c)
{
	return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || octet_is(c, OCTET_DIGIT) || c == '-' || c == '.' ||
	       c == '_';
}

static bool is_name(struct span host)
{
	for (size_t i = 0; i < host.len; i++) {
		if (!is_host_byte(host.data[i]))
			return false;
	}
	return host.len > 0;
}

static bool is_bracketed(struct span host)
{
	if (host.len < 4 || host.data[0] != '[' || host.data[host.len - 1] != ']')
		return false;
	for (size_t i = 1; i < host.len - 1; i++) {
		char c = host.data[i];

		if (octet_hex(c) < 0 && c != ':' && c != '.')
			return false;
	}
	return true;
}

static uint16_t default_port(struct span scheme)
{
	if (span_eq_nocase(scheme, SPAN("https")))
		return 443;
	return span_eq_nocase(scheme, SPAN("http")) ? 80 : 0;
}

static bool parse_port(struct span digits, uint16_t *ret)
{
	uint64_t port;

	if (span_parse_u63(digits, &port) < 0 || port < 1 || port > UINT16_MAX)
		return false;
	*ret = (uint16_t)port;
	return true;
}

/* The host is not checked. */
static bool split(struct span text, struct origin *ret)
{
	ptrdiff_t colon = span_find(text, ':');
	struct span rest;
	size_t end;

	if (colon < 0)
		return false;
	ret->scheme = span_first(text, (size_t)colon);
	rest = span_from(text, (size_t)colon);
	if (!is_scheme(ret->scheme) || !span_starts(rest, SPAN("://")))
		return false;
	rest = span_from(rest, 3);
	end = rest.len && rest.data[0] == '[' ? (size_t)(span_find(rest, ']') + 1) : 0;
	colon = span_find(span_from(rest, end), ':');
	ret->host = colon < 0 ? rest : span_first(rest, end + (size_t)colon);
	ret->port = default_port(ret->scheme);
	return colon < 0 || parse_port(span_from(rest, end + (size_t)colon + 1), &ret->port);
}

bool origin_parse(struct span text, struct origin *ret)
{
	return split(text, ret) && (is_name(ret->host) || is_bracketed(ret->host));
}

bool origin_pattern_parse(struct span text, struct origin_pattern *ret)
{
	struct origin origin;

	if (!split(text, &origin))
		return false;
	*ret = (struct origin_pattern){ .scheme = origin.scheme, .host = origin.host, .port = origin.port };
	if (!origin.host.len || origin.host.data[0] != '*')
		return is_name(origin.host) || is_bracketed(origin.host);
	ret->is_wildcard = true;
	ret->host = span_from(origin.host, 1);
	return !ret->host.len || (ret->host.data[0] == '.' && ret->host.len > 1 && is_name(ret->host));
}

bool origin_matches(const struct origin_pattern *pattern, const struct origin *origin)
{
	struct span host = origin->host;

	if (pattern->port != origin->port || !span_eq_nocase(pattern->scheme, origin->scheme))
		return false;
	if (!pattern->is_wildcard)
		return span_eq_nocase(pattern->host, host);
	/* Something stands for the wildcard. */
	return host.len > pattern->host.len &&
	       span_eq_nocase(span_from(host, host.len - pattern->host.len), pattern->host);
}
