/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/headers.h"

#include <errno.h>

#include "policy/match/match.h"
#include "user/http/target.h"

/* ---- modifiers */

bool headers_may_modify(struct span name)
{
	enum field_id id = field_id_of(name);

	if (name.len == 0 || name.data[0] == ':')
		return false;
	return id != FIELD_CONTENT_LENGTH && id != FIELD_HOST && id != FIELD_TRAILER &&
	       !(field_flags_of(id) & FIELD_HOP);
}

/* False for a field that the modifier removes or sets, in any spelling with "-" and "_". */
static bool is_no_twin(const struct field *field, void *context)
{
	const struct header_modifier *modifier = context;

	for (uint32_t i = 0; i < modifier->remove_count; i++) {
		if (field_names_are_alike(field->name, modifier->remove_list[i]))
			return false;
	}
	for (uint32_t i = 0; i < modifier->set_count; i++) {
		struct span name = modifier->set_list[i].name;

		if (field_names_are_alike(field->name, name) && !span_eq_nocase(field->name, name))
			return false;
	}
	return true;
}

int headers_modify(struct fields *fields, const struct header_modifier *modifier)
{
	int result = 0;

	if (!modifier)
		return 0;
	if (modifier->remove_count || modifier->set_count)
		fields_retain(fields, is_no_twin, (void *)(uintptr_t)modifier);
	for (uint32_t i = 0; i < modifier->set_count && result == 0; i++)
		result = fields_set(fields, modifier->set_list[i].name, modifier->set_list[i].value);
	for (uint32_t i = 0; i < modifier->add_count && result == 0; i++)
		result = fields_add(fields, modifier->add_list[i].name, modifier->add_list[i].value);
	return result;
}

/* strings */

static int text_join(struct arena *arena, const struct span *part_list, size_t count, struct span *ret_text)
{
	size_t len = 0;
	char *bytes;

	for (size_t i = 0; i < count; i++)
		len += part_list[i].len;
	bytes = arena_bytes(arena, len);
	if (!bytes)
		return -ENOMEM;
	*ret_text = span_of(bytes, len);
	for (size_t i = 0; i < count; i++) {
		if (part_list[i].len)
			memcpy(bytes, part_list[i].data, part_list[i].len);
		bytes += part_list[i].len;
	}
	return 0;
}

/* ---- paths */

/* Joins `start` and `rest` to a path that starts with a slash (RFC 9112 3.2.1). */
static int path_join(struct span start, struct span rest, struct arena *arena, struct span *ret_path)
{
	struct span first = start.len ? start : rest;
	bool has_slash = first.len && first.data[0] == '/';
	const struct span parts[3] = { has_slash ? SPAN("") : SPAN("/"), start, rest };

	return text_join(arena, parts, 3, ret_path);
}

/* The part of the path that urlRewrite.path.prefix replaces; false if it is unknown. */
static bool matched_prefix(const struct route_match *match, struct span path, struct span *ret_prefix)
{
	if (path.len == 0 || path.data[0] != '/')
		return false;
	switch (match->path_kind) {
	case PATH_EXACT:
	case PATH_PREFIX_SEGMENTS:
		*ret_prefix = match->path;
		return match_prefix(path, match->path);
	case PATH_REGEX:
		return false;
	}
	return false;
}

static int path_replace(const struct request_head *head, const struct url_rewrite *rewrite,
			const struct route_match *match, struct arena *arena, struct span *ret_path)
{
	struct span prefix;

	switch (rewrite->path_kind) {
	case PATH_KEEP:
		break;
	case PATH_FULL:
		return path_join(rewrite->path, SPAN(""), arena, ret_path);
	case PATH_PREFIX:
		if (!matched_prefix(match, head->path, &prefix))
			break;
		return path_join(match_prefix_trim(rewrite->path),
				 span_from(head->path, match_prefix_trim(prefix).len), arena, ret_path);
	}
	*ret_path = head->path;
	return 0;
}

/* ---- authorities */

static uint16_t port_of_scheme(struct span scheme)
{
	if (span_eq_nocase(scheme, SPAN("https")))
		return 443;
	return span_eq_nocase(scheme, SPAN("http")) ? 80 : 0;
}

/* Returns "host", or "host:port" unless it is the default port of the scheme. Both may be empty. */
static int authority_join(struct span host, struct span port, struct span scheme, struct arena *arena,
			  struct span *ret_authority)
{
	const struct span parts[3] = { host, SPAN(":"), port };
	uint64_t number = 0;

	if (host.len == 0 || port.len == 0 ||
	    (span_parse_u63(port, &number) == 0 && number == port_of_scheme(scheme))) {
		*ret_authority = host;
		return 0;
	}
	return text_join(arena, parts, 3, ret_authority);
}

static int authority_replace(struct request_head *head, const struct url_rewrite *rewrite,
			     const struct host_rewrite *host_rewrite, const struct backend_ref *ref)
{
	enum authority_rewrite kind = rewrite ? rewrite->authority_kind : AUTHORITY_KEEP;
	struct arena *arena = head->fields.arena;
	struct span port = authority_port(head->authority);
	char digits[21];

	if (kind == AUTHORITY_KEEP && host_rewrite)
		kind = host_rewrite->kind;
	switch (kind) {
	case AUTHORITY_KEEP:
		if (ref && ref->backend->rewrites_host && ref->authority.len)
			head->authority = ref->authority;
		return 0;
	case AUTHORITY_AUTO:
		if (ref && ref->authority.len)
			head->authority = ref->authority;
		return 0;
	case AUTHORITY_NONE:
		return 0;
	case AUTHORITY_FULL:
		head->authority = rewrite->authority;
		return 0;
	case AUTHORITY_HOST:
		return authority_join(rewrite->authority, port, SPAN("http"), arena, &head->authority);
	case AUTHORITY_PORT:
		port = span_of(digits, text_u64(digits, rewrite->port));
		return authority_join(authority_host(head->authority), port, SPAN("http"), arena,
				      &head->authority);
	}
	return 0;
}

int headers_rewrite(struct request_head *head, const struct url_rewrite *rewrite,
		    const struct host_rewrite *host, const struct route_match *match,
		    const struct backend_ref *ref)
{
	int result = authority_replace(head, rewrite, host, ref);

	if (result == 0 && rewrite)
		result = path_replace(head, rewrite, match, head->fields.arena, &head->path);
	return result;
}

/* ---- redirects */

static int redirect_authority(const struct request_head *head, const struct redirect_policy *redirect,
			      struct span scheme, struct arena *arena, struct span *ret_authority)
{
	const struct url_rewrite *url = &redirect->url;
	struct span host = authority_host(head->authority);
	struct span port = authority_port(head->authority);
	char digits[21];

	if (redirect->scheme.len && port_of_scheme(redirect->scheme))
		port = SPAN("");
	switch (url->authority_kind) {
	case AUTHORITY_FULL:
		host = authority_host(url->authority);
		port = authority_port(url->authority);
		break;
	case AUTHORITY_HOST:
		host = url->authority;
		break;
	case AUTHORITY_PORT:
		port = span_of(digits, text_u64(digits, url->port));
		break;
	case AUTHORITY_KEEP:
	case AUTHORITY_AUTO:
	case AUTHORITY_NONE:
		break;
	}
	return authority_join(host, port, scheme, arena, ret_authority);
}

int headers_redirect(const struct request_head *head, const struct redirect_policy *redirect,
		     const struct route_match *match, struct span scheme, struct arena *arena,
		     struct span *ret_location)
{
	struct span authority, path;
	int result;

	if (redirect->scheme.len)
		scheme = redirect->scheme;
	result = redirect_authority(head, redirect, scheme, arena, &authority);
	if (result == 0)
		result = path_replace(head, &redirect->url, match, arena, &path);
	if (result < 0)
		return result;
	if (path.len == 0 || path.data[0] != '/')
		path = SPAN("/");
	/* A reference that starts with "//name/" would refer to another host (RFC 3986 4.2). */
	while (authority.len == 0 && span_starts(path, SPAN("//")))
		path = span_from(path, 1);

	const struct span parts[] = {
		authority.len ? scheme : SPAN(""),
		authority.len ? SPAN("://") : SPAN(""),
		authority,
		path,
		head->has_query ? SPAN("?") : SPAN(""),
		head->query,
	};

	return text_join(arena, parts, sizeof(parts) / sizeof(parts[0]), ret_location);
}
