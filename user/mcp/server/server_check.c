/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/server/server_check.h"

#include "user/base/base64.h"
#include "user/base/check.h"
#include "user/base/mem.h"
#include "user/net/address.h"

/* ------------------------------------------------------------------------------------ media types */

static bool range_has(struct span range, struct span type)
{
	size_t slash = (size_t)span_find(type, '/');

	if (span_eq(range, SPAN("*/*")) || span_eq_nocase(range, type))
		return true;
	return range.len == slash + 2 && range.data[slash] == '/' && range.data[slash + 1] == '*' &&
	       span_eq_nocase(span_first(range, slash), span_first(type, slash));
}

bool server_accepts(const struct fields *fields, struct span type)
{
	for (uint32_t i = 0; i < fields->count; i++) {
		struct span rest = fields->list[i].value, range;

		if (!span_eq_nocase(fields->list[i].name, SPAN("accept")))
			continue;
		while (span_split(&rest, ',', &range)) {
			struct span name = { 0 };

			if (span_split(&range, ';', &name) && range_has(span_trim(name), type) &&
			    fields_have_weight(range))
				return true;
		}
	}
	return false;
}

enum mcp_fault server_check_types(const struct fields *fields)
{
	const struct field *type = fields_get(fields, FIELD_CONTENT_TYPE);
	struct span rest = type ? type->value : SPAN(""), name = { 0 };

	if (!server_accepts(fields, SPAN("application/json")) ||
	    !server_accepts(fields, SPAN("text/event-stream")))
		return MCP_NOT_ACCEPTABLE;
	if (!span_split(&rest, ';', &name) || !span_eq_nocase(span_trim(name), SPAN("application/json")))
		return MCP_MEDIA_TYPE;
	return MCP_NONE;
}

static bool is_utf8(struct span parameters)
{
	struct span parameter, value, name = SPAN("charset=");

	while (span_split(&parameters, ';', &parameter)) {
		parameter = span_trim(parameter);
		if (!span_eq_nocase(span_first(parameter, name.len), name))
			continue;
		value = span_from(parameter, name.len);
		if (value.len > 1 && value.data[0] == '"' && value.data[value.len - 1] == '"')
			value = span_of(value.data + 1, value.len - 2);
		if (!span_eq_nocase(value, SPAN("utf-8")) && !span_eq_nocase(value, SPAN("utf8")) &&
		    !span_eq_nocase(value, SPAN("us-ascii")))
			return false;
	}
	return true;
}

enum mcp_fault server_check_coding(const struct fields *fields)
{
	const struct field *type = fields_get(fields, FIELD_CONTENT_TYPE);

	for (uint32_t i = 0; i < fields->count; i++) {
		if (span_eq_nocase(fields->list[i].name, SPAN("content-encoding")) &&
		    !span_eq_nocase(fields->list[i].value, SPAN("identity")))
			return MCP_CODING;
	}
	return type && !is_utf8(type->value) ? MCP_CODING : MCP_NONE;
}

/* ------------------------------------------------------------------------------------ the site */

static bool is_this_host(struct span authority)
{
	static const struct span names[] = { SPAN("localhost"), SPAN("127.0.0.1"), SPAN("[::1]") };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct span port = span_from(authority, names[i].len);

		if (!span_eq_nocase(span_first(authority, names[i].len), names[i]))
			continue;
		if (!port.len)
			return true;
		for (size_t at = 1; at < port.len && port.data[0] == ':'; at++) {
			if (port.data[at] < '0' || port.data[at] > '9')
				return false;
		}
		return port.data[0] == ':' && port.len > 1;
	}
	return false;
}

/* "name:port" of an origin; empty: not an http or https origin. */
static struct span site_of(struct span origin)
{
	if (span_starts(origin, SPAN("http://")))
		return span_from(origin, 7);
	return span_starts(origin, SPAN("https://")) ? span_from(origin, 8) : SPAN("");
}

static bool is_listed(const struct mcp_servers *servers, struct span origin)
{
	for (uint32_t i = 0; i < servers->origin_count; i++) {
		if (span_eq(servers->origin_list[i], SPAN("*")) ||
		    span_eq_nocase(servers->origin_list[i], origin))
			return true;
	}
	return false;
}

static bool is_loopback(struct span ip)
{
	struct address address, network;

	if (address_parse_ip(ip, 0, &address) < 0)
		return false;
	address_unmap(&address);
	return (address_parse_ip(SPAN("127.0.0.0"), 0, &network) == 0 && address_in(&address, &network, 8)) ||
	       (address_parse_ip(SPAN("::1"), 0, &network) == 0 && address_in(&address, &network, 128));
}

static bool origin_may(const struct request_head *head, const struct mcp_servers *servers, struct span client,
		       struct span origin)
{
	struct span site = site_of(origin);

	if (is_this_host(site) || is_listed(servers, origin))
		return true;
	return site.len && !is_loopback(client) && span_eq_nocase(site, head->authority);
}

enum mcp_fault server_check_site(const struct request_head *head, const struct mcp_servers *servers,
				 struct span client)
{
	const struct field *origin = fields_find(&head->fields, SPAN("origin"));
	const struct field *fetch = fields_find(&head->fields, SPAN("sec-fetch-site"));

	if (servers->only_localhost &&
	    (!is_this_host(head->authority) || (client.len && !is_loopback(client))))
		return MCP_FOREIGN_SITE;
	if (origin)
		return origin_may(head, servers, client, origin->value) ? MCP_NONE : MCP_FOREIGN_SITE;
	return fetch && span_eq_nocase(fetch->value, SPAN("cross-site")) ? MCP_FOREIGN_SITE : MCP_NONE;
}

enum mcp_fault server_check_once(const struct fields *fields)
{
	static const struct span names[] = {
		SPAN("origin"),	       SPAN("mcp-session-id"), SPAN("mcp-protocol-version"),
		SPAN("last-event-id"), SPAN("content-type"),
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		uint32_t count = 0;

		for (uint32_t k = 0; k < fields->count; k++)
			count += span_eq_nocase(fields->list[k].name, names[i]);
		if (count > 1)
			return MCP_DOUBLE_FIELD;
	}
	return MCP_NONE;
}

/* ------------------------------------------------------------------------------------ 2026-07-28 */

static bool field_says(struct span value, struct span plain)
{
	struct span prefix = SPAN("=?base64?"), suffix = SPAN("?=");
	ssize_t len = -1;
	bool is_same;
	char *bytes;

	if (value.len < prefix.len + suffix.len || !span_starts(value, prefix) || !span_ends(value, suffix))
		return span_eq(value, plain);
	value = span_of(value.data + prefix.len, value.len - prefix.len - suffix.len);
	bytes = hg_malloc(value.len + 1);
	/* base64_decode() skips blanks, which a field must not contain. */
	if (bytes && span_find(value, ' ') < 0 && span_find(value, '\t') < 0)
		len = base64_decode(value, bytes);
	is_same = len >= 0 && span_eq(span_of(bytes, (size_t)len), plain);
	hg_free(bytes);
	return is_same;
}

/* A route may have matched the other field. */
static bool is_double(const struct fields *fields, struct span name)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < fields->count; i++)
		count += span_eq_nocase(fields->list[i].name, name);
	return count > 1;
}

/* `inner`: inner text of a JSON string; empty: the field is optional. */
static bool mirror_is_right(const struct fields *fields, struct span name, struct span inner)
{
	const struct field *field = fields_find(fields, name);
	struct text plain;
	bool is_right;

	if (!inner.len)
		return true;
	if (!field || is_double(fields, name))
		return false;
	text_init(&plain);
	mcp_json_unescape(&plain, inner);
	is_right = !text_error(&plain) && field_says(field->value, text_span(&plain));
	text_done(&plain);
	return is_right;
}

static bool must_name(enum mcp_method method)
{
	return method == MCP_METHOD_TOOLS_CALL || method == MCP_METHOD_PROMPTS_GET ||
	       method == MCP_METHOD_RESOURCES_READ;
}

enum mcp_fault server_check_mirrors(const struct fields *fields, const struct mcp_message *m)
{
	struct span name = mcp_json_string(m->name.len ? m->name : m->uri);

	if (m->kind != MCP_REQUEST && m->kind != MCP_NOTIFICATION)
		return MCP_NONE;
	if (!mirror_is_right(fields, SPAN("mcp-protocol-version"), m->version_text) ||
	    !mirror_is_right(fields, SPAN("mcp-method"), m->method_text) ||
	    (must_name(m->method) && !mirror_is_right(fields, SPAN("mcp-name"), name)))
		return MCP_HEADER_MISMATCH;
	return MCP_NONE;
}

bool server_version(const struct fields *fields, enum mcp_version *ret_version)
{
	const struct field *field = fields_find(fields, SPAN("mcp-protocol-version"));

	*ret_version = field ? mcp_version_of(field->value) : MCP_VERSION_NONE;
	return !field || *ret_version != MCP_VERSION_NONE;
}
