/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/target.h"

#include "user/base/char_class.h"

static bool scheme_cut(struct span target, struct span scheme, struct span *ret_rest)
{
	if (target.len < scheme.len || !span_eq_nocase(span_first(target, scheme.len), scheme))
		return false;
	*ret_rest = span_from(target, scheme.len);
	return true;
}

/*
 * RFC 3986 3.2.2: only the bytes of an IPv6 literal are checked; whether they form an address is left to
 * inet_pton() elsewhere.
 */
static bool is_ip_literal(struct span inside)
{
	bool has_colon = false;

	for (size_t i = 0; i < inside.len; i++) {
		char c = inside.data[i];

		has_colon |= c == ':';
		if (c != ':' && c != '.' && !octet_is(c, OCTET_HEX))
			return false;
	}
	return has_colon && inside.len <= 45;
}

struct span authority_host(struct span authority)
{
	ptrdiff_t end;

	if (authority.len && authority.data[0] == '[') {
		end = span_find(authority, ']');
		return end < 0 ? authority : span_first(authority, (size_t)end + 1);
	}
	end = span_find(authority, ':');
	return end < 0 ? authority : span_first(authority, (size_t)end);
}

/* What follows the host and its colon. */
static struct span port_after(struct span authority, struct span host)
{
	return authority.len > host.len ? span_from(authority, host.len + 1) : SPAN("");
}

struct span authority_port(struct span authority)
{
	return port_after(authority, authority_host(authority));
}

bool authority_is_valid(struct span authority)
{
	struct span host = authority_host(authority);
	struct span port = port_after(authority, host);
	uint64_t number;

	if (host.len == 0)
		return false;
	if (host.data[0] == '[') {
		if (host.data[host.len - 1] != ']' || !is_ip_literal(span_of(host.data + 1, host.len - 2)))
			return false;
	} else if (!char_class_all(host, OCTET_HOST)) {
		return false;
	}
	if (authority.len > host.len && authority.data[host.len] != ':')
		return false;
	return port.len == 0 || (span_parse_u63(port, &number) == 0 && number <= UINT16_MAX);
}

static uint64_t port_number(struct span authority, uint16_t default_port)
{
	uint64_t number = default_port;

	return span_parse_u63(authority_port(authority), &number) == 0 ? number : default_port;
}

bool authority_same(struct span a, struct span b, uint16_t default_port)
{
	return span_eq_nocase(authority_host(a), authority_host(b)) &&
	       port_number(a, default_port) == port_number(b, default_port);
}

uint16_t target_default_port(const struct request_head *head)
{
	struct span rest;

	return scheme_cut(head->target, SPAN("https://"), &rest) ? 443 : 80;
}

static void path_and_query(struct request_head *head, struct span text)
{
	ptrdiff_t mark = span_find(text, '?');

	head->has_query = mark >= 0;
	head->path = mark >= 0 ? span_first(text, (size_t)mark) : text;
	head->query = mark >= 0 ? span_from(text, (size_t)mark + 1) : SPAN("");
}

static enum http_error split_absolute(struct request_head *head, struct span rest)
{
	const char *end = rest.data + rest.len;
	const char *at = rest.data;

	while (at < end && *at != '/' && *at != '?')
		at++;
	head->authority = span_of(rest.data, (size_t)(at - rest.data));
	if (!authority_is_valid(head->authority))
		return HTTP_ERROR_TARGET;
	path_and_query(head, span_of(at, (size_t)(end - at)));
	if (head->path.len == 0)
		head->path = head->method == METHOD_OPTIONS && !head->has_query ? SPAN("*") : SPAN("/");
	return HTTP_ERROR_NONE;
}

static enum http_error split_authority(struct request_head *head)
{
	if (!authority_is_valid(head->target) || authority_port(head->target).len == 0)
		return HTTP_ERROR_TARGET;
	head->authority = head->target;
	head->path = SPAN("");
	head->query = SPAN("");
	head->has_query = false;
	return HTTP_ERROR_NONE;
}

enum http_error target_split(struct request_head *head)
{
	struct span target = head->target;
	struct span rest;

	if (target.len == 0 || !char_class_is_target(target))
		return HTTP_ERROR_TARGET;
	if (head->method == METHOD_CONNECT)
		return split_authority(head);
	if (target.data[0] == '/') {
		path_and_query(head, target);
		return HTTP_ERROR_NONE;
	}
	if (scheme_cut(target, SPAN("http://"), &rest) || scheme_cut(target, SPAN("https://"), &rest))
		return split_absolute(head, rest);
	if (head->method != METHOD_OPTIONS || !span_eq(target, SPAN("*")))
		return HTTP_ERROR_TARGET;
	path_and_query(head, target);
	return HTTP_ERROR_NONE;
}
