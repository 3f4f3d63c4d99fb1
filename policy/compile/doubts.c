/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/doubts.h"

#include <errno.h>

#include "policy/guard/guard.h"
#include "policy/match/route.h"
#include "user/base/check.h"

/* Stands for any other word: no configuration has it. */
#define ANY_WORD "zq9vx4"

/* ---- guards */

static const struct targeted_policy *policy_of(const struct snapshot *snapshot, struct span key)
{
	for (uint32_t i = 0; key.len && i < snapshot->policy_count; i++)
		if (span_eq(snapshot->policy_list[i].key, key))
			return &snapshot->policy_list[i];
	return NULL;
}

static unsigned mode_of(const struct guard_use *use)
{
	switch (use->guard->kind) {
	case POLICY_JWT_AUTH:
		return ((const struct jwt_auth_policy *)use->object)->mode;
	case POLICY_BASIC_AUTH:
		return ((const struct basic_auth_policy *)use->object)->mode;
	case POLICY_API_KEY:
		return ((const struct api_key_policy *)use->object)->mode;
	default:
		return CREDENTIAL_STRICT;
	}
}

static bool is_open_cors(const struct guard_use *use)
{
	const struct cors_policy *cors = use->object;

	return use->guard->kind == POLICY_CORS && cors->any_origin && cors->allow_credentials;
}

/* where: of the route or listener, for policies that are written there. */
static void judge_guards(const struct snapshot *snapshot, const struct guard_list *list, struct span where,
			 struct config_report *report)
{
	for (uint32_t i = 0; i < list->count; i++) {
		const struct guard_use *use = &list->list[i];
		const struct targeted_policy *policy = policy_of(snapshot, use->rule);
		struct span place = policy && policy->where.len ? policy->where : where;

		if (mode_of(use) != CREDENTIAL_STRICT)
			config_message_at(report, CONFIG_WARNING, place,
					  "%s lets requests without credentials pass; write mode: strict, "
					  "unless the backend refuses them",
					  use->guard->name);
		if (is_open_cors(use))
			config_message_at(report, CONFIG_WARNING, place,
					  "cors lets pages of every site read responses with the user's "
					  "cookies; write the sites instead of \"*\" under allowOrigins, or "
					  "allowCredentials: false");
	}
}

/* ---- deadlines */

static bool is_limit(const struct opt_duration *limit)
{
	return limit->is_set && limit->ns;
}

static bool has_deadline(const struct route *route)
{
	const struct timeout_policy *timeout = route->effective.timeout;

	if (timeout && (is_limit(&timeout->request) || is_limit(&timeout->backend_request)))
		return true;
	for (uint32_t i = 0; i < route->backend_count; i++)
		if (route->backend_list[i].http && is_limit(&route->backend_list[i].http->request_timeout))
			return true;
	return false;
}

/* Of all routes with backends; *ret_first: the first of them. */
static bool any_has_deadline(const struct snapshot *snapshot, const struct route **ret_first)
{
	for (uint32_t b = 0; b < snapshot->bind_count; b++) {
		const struct bind *bind = &snapshot->bind_list[b];

		for (uint32_t l = 0; l < bind->listener_count; l++) {
			const struct listener *listener = &bind->listener_list[l];

			for (uint32_t r = 0; r < listener->route_count; r++) {
				const struct route *route = &listener->route_list[r];

				if (!route->weight_sum)
					continue;
				if (has_deadline(route))
					return true;
				if (!*ret_first)
					*ret_first = route;
			}
		}
	}
	return false;
}

static void judge_deadlines(const struct snapshot *snapshot, struct config_report *report)
{
	const struct route *first = NULL;

	if (any_has_deadline(snapshot, &first) || !first)
		return;
	config_message_at(report, CONFIG_WARNING, first->where,
			  "neither this route nor another one has a deadline: a backend that is silent holds "
			  "its requests forever; write policies: {timeout: {requestTimeout: 30s}}");
}

/* ---- routes without requests */

/* A request that the match just fits: any other word where it says nothing. */
struct sample {
	struct arena *arena;
	struct request_head head;
	bool is_unknown; /* a regular expression or pseudo header */
};

static struct span joined(struct arena *arena, const char *before, struct span text, const char *after)
{
	size_t first = strlen(before), last = strlen(after);
	char *bytes = arena_bytes(arena, first + text.len + last + 1);

	if (!bytes)
		return (struct span){ 0 };
	memcpy(bytes, before, first);
	if (text.len)
		memcpy(bytes + first, text.data, text.len);
	memcpy(bytes + first + text.len, after, last);
	return span_of(bytes, first + text.len + last);
}

static struct span sample_host(struct arena *arena, struct span pattern)
{
	if (!pattern.len || span_eq(pattern, SPAN("*")))
		return SPAN(ANY_WORD ".invalid");
	return span_starts(pattern, SPAN("*.")) ? joined(arena, ANY_WORD, span_from(pattern, 1), "")
						: pattern;
}

/* What follows a prefix: a regular expression of another route may fit some of them only. */
static const char *const suffixes[] = { "", ("/" ANY_WORD), "/-Q/~_.9" };

static void sample_path(struct sample *sample, const struct route_match *match, const char *suffix)
{
	switch (match->path_kind) {
	case PATH_EXACT:
		sample->head.path = match->path;
		return;
	case PATH_PREFIX_SEGMENTS:
		if (*suffix && span_ends(match->path, SPAN("/")))
			suffix++;
		sample->head.path = joined(sample->arena, "", match->path, suffix);
		return;
	case PATH_REGEX:
		sample->is_unknown = true;
		return;
	}
}

static int sample_headers(struct sample *sample, const struct route_match *match)
{
	int error = 0;

	for (uint32_t i = 0; i < match->header_count && !error; i++) {
		const struct text_match *header = &match->header_list[i];

		sample->is_unknown |= header->kind == TEXT_REGEX || span_starts(header->name, SPAN(":"));
		error = fields_add(&sample->head.fields, header->name, header->value);
	}
	return error;
}

/* Values whose encoding would matter are not judged. */
static int sample_query(struct sample *sample, const struct route_match *match)
{
	struct text query;

	text_init(&query);
	for (uint32_t i = 0; i < match->query_count; i++) {
		const struct text_match *parameter = &match->query_list[i];

		sample->is_unknown |= parameter->kind == TEXT_REGEX;
		text_fmt(&query, "%s%.*s=%.*s", i ? "&" : "", SPAN_FMT(parameter->name),
			 SPAN_FMT(parameter->value));
	}
	for (size_t i = 0; i < query.len; i++)
		sample->is_unknown |= strchr("%+# ", query.data[i]) != NULL;
	sample->head.has_query = match->query_count > 0;
	sample->head.query =
		text_error(&query) ? (struct span){ 0 } : arena_copy(sample->arena, text_span(&query));
	text_done(&query);
	return sample->head.query.data || !sample->head.has_query ? 0 : -ENOMEM;
}

static int sample_make(struct sample *sample, struct span host, const struct route_match *match,
		       const char *suffix)
{
	struct request_head *head = &sample->head;
	int error;

	head->method_text = match->method.len ? match->method : SPAN("ZQ9VX4");
	head->method = method_of(head->method_text);
	head->authority = sample_host(sample->arena, host);
	head->version_major = 1;
	head->version_minor = 1;
	fields_init(&head->fields, sample->arena);
	error = fields_add(&head->fields, SPAN("host"), head->authority);
	if (!error)
		error = sample_headers(sample, match);
	if (!error)
		error = sample_query(sample, match);
	sample_path(sample, match, suffix);
	return error || !head->authority.data ? -ENOMEM : 0;
}

/* The route that gets the request instead; NULL: none, or it is not known. */
static const struct route *route_instead(const struct listener *listener, const struct route *route,
					 struct span host, const struct route_match *match,
					 struct arena *arena, int *ret_error)
{
	const struct route *other = NULL;

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		struct sample sample = { .arena = arena };
		struct route_found found;

		*ret_error = sample_make(&sample, host, match, suffixes[i]);
		if (*ret_error || sample.is_unknown)
			return NULL;
		found = route->group ? route_search_group(listener, route->group, &sample.head)
				     : route_search(listener, &sample.head);
		if (found.route == route)
			return NULL;
		other = found.route;
	}
	return other;
}

/* The same for all its matches and host names: NULL as soon as one of them gets requests. */
static const struct route *route_before(const struct listener *listener, const struct route *route,
					struct arena *arena, int *ret_error)
{
	uint32_t hosts = route->hostname_count ? route->hostname_count : 1;
	uint32_t matches = route->match_count ? route->match_count : 1;
	const struct route *other = NULL;

	for (uint32_t h = 0; h < hosts; h++) {
		struct span host = route->hostname_count ? route->hostname_list[h] : listener->hostname;

		for (uint32_t m = 0; m < matches; m++) {
			const struct route_match any = { .path_kind = PATH_PREFIX_SEGMENTS,
							 .path = SPAN("/") };

			other = route_instead(listener, route, host,
					      route->match_count ? &route->match_list[m] : &any, arena,
					      ret_error);
			if (!other)
				return NULL;
		}
	}
	return other;
}

static int judge_route(const struct listener *listener, const struct route *route,
		       struct config_report *report)
{
	const struct route *other;
	struct arena arena;
	int error = 0;

	arena_init(&arena, 4096);
	other = route_before(listener, route, &arena, &error);
	if (other)
		config_message_at(report, CONFIG_WARNING, route->where,
				  "this route gets no requests: route %s at %.*s has them all; remove one of "
				  "them, or make the match of this one longer or add a condition",
				  QUOTE(other->name), SPAN_FMT(other->where));
	arena_done(&arena);
	return error;
}

/* ---- tokens of MCP clients */

static bool asks_mcp_clients(const struct route *route)
{
	const struct guard_list *guards = &route->effective.guards;

	for (uint32_t i = 0; i < guards->count; i++)
		if (guards->list[i].guard->kind == POLICY_JWT_AUTH &&
		    ((const struct jwt_auth_policy *)guards->list[i].object)->mcp)
			return true;
	return false;
}

static bool has_metadata(const struct route *route)
{
	static const struct span place = SPAN("/.well-known/oauth-protected-resource");

	for (uint32_t i = 0; i < route->match_count; i++) {
		const struct route_match *match = &route->match_list[i];

		if (match->path_kind == PATH_REGEX || span_starts(match->path, place) ||
		    (match->path_kind == PATH_PREFIX_SEGMENTS && span_starts(place, match->path)))
			return true;
	}
	return !route->match_count;
}

static void judge_metadata(const struct route *route, struct config_report *report)
{
	if (asks_mcp_clients(route) && !has_metadata(route))
		config_message_at(
			report, CONFIG_WARNING, route->where,
			"clients of MCP will not find a token: the challenge of this route names "
			"/.well-known/oauth-protected-resource, which it does not match; add a match "
			"with that pathPrefix");
}

/* ---- credentials for backends */

static bool verifies_tokens(const struct guard_list *guards)
{
	for (uint32_t i = 0; i < guards->count; i++)
		if (guards->list[i].guard->kind == POLICY_JWT_AUTH)
			return true;
	return false;
}

static void judge_passthrough(const struct listener *listener, const struct route *route,
			      struct config_report *report)
{
	if (verifies_tokens(&listener->guards) || verifies_tokens(&route->effective.guards))
		return;
	for (uint32_t i = 0; i < route->backend_count; i++) {
		const struct backend_auth_policy *auth = route->backend_list[i].auth;

		if (auth && auth->has_passthrough)
			config_message_at(report, CONFIG_WARNING, route->where,
					  "backendAuth.passthrough has no token to pass on: no jwtAuth "
					  "verifies one on this route; add jwtAuth, or remove passthrough");
	}
}

/* ---- transformations */

/* Responses of the gateway itself are not transformed. */
static void judge_transformation(const struct route *route, struct config_report *report)
{
	const struct route_policies *policies = &route->effective;
	const struct transformation *own = NULL;
	bool is_local = policies->redirect || (policies->direct && !policies->direct->case_count);

	for (uint32_t i = 0; i < policies->guards.count; i++)
		if (policies->guards.list[i].guard->kind == POLICY_TRANSFORMATION)
			own = policies->guards.list[i].object;
	if (own && own->response.is_set && is_local)
		config_message_at(
			report, CONFIG_WARNING, route->where,
			"transformations.response has no effect: the gateway answers itself, by %s; "
			"write headers under directResponse",
			policies->redirect ? "requestRedirect" : "directResponse");
}

/* ---- listeners */

/* A gateway without routes has a warning when it is loaded. */
static bool is_empty(const struct listener *listener)
{
	return !listener->route_count && !listener->tcp_route_count &&
	       !span_starts(listener->key, SPAN("gateway/"));
}

static int judge_listener(const struct snapshot *snapshot, const struct listener *listener,
			  struct config_report *report)
{
	int error = 0;

	if (is_empty(listener))
		config_message_at(report, CONFIG_WARNING, listener->where,
				  "listener %s has no routes: every request gets 404, every connection ends; "
				  "add routes or remove it",
				  QUOTE(listener->listener_name));
	judge_guards(snapshot, &listener->guards, listener->where, report);
	for (uint32_t i = 0; i < listener->route_count && !error; i++) {
		const struct route *route = &listener->route_list[i];

		judge_guards(snapshot, &route->effective.guards, route->where, report);
		judge_metadata(route, report);
		judge_passthrough(listener, route, report);
		judge_transformation(route, report);
		error = judge_route(listener, route, report);
	}
	return error;
}

int doubts_warn(const struct snapshot *snapshot, struct config_report *report)
{
	int error = 0;

	report->drops_repeats = true; /* a policy of many routes */
	for (uint32_t b = 0; b < snapshot->bind_count; b++)
		for (uint32_t l = 0; l < snapshot->bind_list[b].listener_count && !error; l++)
			error = judge_listener(snapshot, &snapshot->bind_list[b].listener_list[l], report);
	judge_deadlines(snapshot, report);
	return error;
}
