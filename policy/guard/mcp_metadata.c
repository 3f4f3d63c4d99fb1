/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/mcp_metadata.h"

#include <errno.h>

#include "user/base/check.h"
#include "user/base/json_writer.h"
#include "user/base/text.h"

#define RESOURCE SPAN("/.well-known/oauth-protected-resource")
#define SERVER SPAN("/.well-known/oauth-authorization-server")

/* -------------------------------------------------------------------------------- URLs */

/* True for the place itself, and for what is under it: *ret_rest is "" or "/mcp". */
static bool is_at(struct span path, struct span place, struct span *ret_rest)
{
	*ret_rest = span_from(path, place.len);
	return span_starts(path, place) && (!ret_rest->len || ret_rest->data[0] == '/');
}

/* What would end a quoted string, or is no part of a URL (RFC 3986 3.3), as %XX. */
static void add_path(struct text *to, struct span path)
{
	for (size_t i = 0; i < path.len; i++) {
		unsigned char c = (unsigned char)path.data[i];

		if (c <= ' ' || c >= 0x7f || memchr("\"\\<>^`{|}", c, 9))
			text_fmt(to, "%%%02X", c);
		else
			text_char(to, (char)c);
	}
}

/* scheme://authority, of the resource if it is configured, else as the client sees it. */
static void add_origin(struct text *to, const struct mcp_auth *auth, const struct guard_facts *facts)
{
	if (auth->origin.len) {
		text_add(to, auth->origin);
		return;
	}
	text_add(to, facts->scheme);
	text_str(to, "://");
	add_path(to, facts->head->authority);
}

/* Consumes the text. */
static struct span keep(struct text *text, const struct guard_answer *answer)
{
	struct span kept =
		text_error(text) ? (struct span){ 0 } : arena_copy(answer->fields.arena, text_span(text));

	text_done(text);
	return kept;
}

struct span mcp_metadata_challenge(const struct mcp_auth *auth, const struct guard_facts *facts,
				   bool is_invalid, const struct guard_answer *answer)
{
	struct text text;

	text_init(&text);
	text_str(&text, is_invalid ? "Bearer error=\"invalid_token\", resource_metadata=\""
				   : "Bearer resource_metadata=\"");
	add_origin(&text, auth, facts);
	text_add(&text, RESOURCE);
	add_path(&text, facts->head->path);
	text_char(&text, '"');
	return keep(&text, answer);
}

/* -------------------------------------------------------------------------------- documents */

static void add_member(struct text *to, const char *name)
{
	text_fmt(to, "%s\"%s\":", to->len > 1 ? "," : "", name);
}

static void add_url(struct text *to, const struct guard_facts *facts, struct span path)
{
	struct text url;

	text_init(&url);
	text_add(&url, facts->scheme);
	text_str(&url, "://");
	add_path(&url, facts->head->authority);
	add_path(&url, path);
	json_quote(to, text_span(&url));
	to->failed |= text_error(&url) != 0;
	text_done(&url);
}

/* RFC 9728 2. What is configured replaces what is computed. */
static struct span resource_document(const struct mcp_auth *auth, const struct guard_facts *facts,
				     struct span path, const struct guard_answer *answer)
{
	struct text text;

	text_init(&text);
	text_char(&text, '{');
	if (!auth->has_resource) {
		add_member(&text, "resource");
		add_url(&text, facts, path);
	}
	if (!auth->has_servers) {
		add_member(&text, "authorization_servers");
		text_char(&text, '[');
		json_quote(&text, auth->issuer);
		text_char(&text, ']');
	}
	if (auth->members.len && text.len > 1)
		text_char(&text, ',');
	text_add(&text, auth->members);
	text_char(&text, '}');
	return keep(&text, answer);
}

/* -------------------------------------------------------------------------------- answers */

/* Any page may read it: it contains no secret. A cors policy of the route decides instead, if it did. */
static int add_cors(struct guard_answer *answer)
{
	static const struct span names[] = { SPAN("access-control-allow-origin"),
					     SPAN("access-control-allow-methods"),
					     SPAN("access-control-allow-headers") };
	static const struct span values[] = { SPAN("*"), SPAN("GET, OPTIONS"),
					      SPAN("content-type, mcp-protocol-version") };
	int error = 0;

	if (fields_find(&answer->fields, names[0]))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(names) && !error; i++)
		error = fields_set(&answer->fields, names[i], values[i]);
	return error;
}

static int answer_other(const struct guard_facts *facts, struct guard_answer *answer)
{
	int error = 0;

	answer->status = 204;
	if (facts->head->method != METHOD_OPTIONS) {
		answer->status = 405;
		answer->body = SPAN("write GET");
		error = fields_set(&answer->fields, SPAN("allow"), SPAN("GET, HEAD, OPTIONS"));
	}
	return error ? error : GUARD_ANSWER;
}

int mcp_metadata_answer(const struct mcp_auth *auth, const struct guard_facts *facts,
			struct guard_answer *answer)
{
	enum http_method method = facts->head->method;
	struct span rest;
	bool is_resource = is_at(facts->head->path, RESOURCE, &rest);
	int error;

	if (!is_resource && !is_at(facts->head->path, SERVER, &rest))
		return GUARD_PASS;
	error = add_cors(answer);
	if (error)
		return error;
	if (method != METHOD_GET && method != METHOD_HEAD)
		return answer_other(facts, answer);
	if (!is_resource) {
		/* Clients of 2025-03-26 ask the resource, whose authorization server it is not. */
		answer->status = 307;
		error = fields_set(&answer->fields, SPAN("location"), auth->server_url);
		return error ? error : GUARD_ANSWER;
	}
	answer->status = 200;
	answer->type = SPAN("application/json");
	answer->body = resource_document(auth, facts, rest, answer);
	return answer->body.data ? GUARD_ANSWER : -ENOMEM;
}
