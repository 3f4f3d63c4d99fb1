/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/session.h"

#include <errno.h>
#include <stdlib.h>

#include "policy/guard/credential.h"
#include "policy/health_group.h"
#include "user/auth/session_token.h"
#include "user/base/session_result.h"
#include "user/base/text.h"
#include "user/base/units.h"
#include "user/client/client_tls.h"
#include "user/phase/route_rules.h"

/* A token from another gateway, whose clock is ahead by up to this, is valid. */
enum { SESSION_SKEW_S = 300 };

/* In the arena of the exchange. */
struct client_session {
	const struct backend_ref *ref; /* NULL: no token is valid */
	uint32_t index; /* of the endpoint */
	struct session_token token; /* valid if ref is set */
	bool is_secure; /* the client came by https */
};

static uint32_t now_s(struct stream *stream)
{
	return (uint32_t)(proxy_wall_us(stream->proxy) / US_PER_S);
}

static struct credential_location location_of(const struct route_session *session)
{
	return (struct credential_location){
		.kind = session->policy->type == SESSION_COOKIE ? LOCATION_COOKIE : LOCATION_HEADER,
		.name = session->name,
	};
}

static bool is_over(const struct opt_duration *timeout, uint32_t since_s, uint32_t now_s)
{
	return timeout->is_set && now_s > since_s && (uint64_t)(now_s - since_s) * NS_PER_S >= timeout->ns;
}

static bool is_expired(const struct session_persistence *policy, const struct session_token *token,
		       uint32_t now_s)
{
	return (token->issued_s > now_s && token->issued_s - now_s > SESSION_SKEW_S) ||
	       is_over(&policy->absolute, token->issued_s, now_s) ||
	       is_over(&policy->idle, token->used_s, now_s);
}

static int by_tag(const void *key, const void *element)
{
	const uint64_t *tag = key;
	const struct session_tag *entry = element;

	return (*tag > entry->tag) - (*tag < entry->tag);
}

/* The endpoint may be of any backend of the rule, also of one without weight. */
static enum session_result find_endpoint(struct stream *stream, struct client_session *session)
{
	uint64_t now_ms = proxy_now_ms(stream->proxy);
	const struct route *route = stream->route;

	for (uint32_t i = 0; i < route->backend_count; i++) {
		const struct backend_ref *ref = &route->backend_list[i];
		const struct backend *backend = snapshot_backend(stream->lease->snapshot, ref->backend);
		const struct session_tag *found = NULL;

		if (backend->tag_list)
			found = bsearch(&session->token.endpoint, backend->tag_list, backend->endpoint_count,
					sizeof(*found), by_tag);
		if (!found)
			continue;
		if (health_is_evicted(backend->endpoint_list[found->index].health, now_ms) &&
		    !health_group_panics(backend, now_ms))
			return SESSION_EVICTED;
		session->ref = ref;
		session->index = found->index;
		return SESSION_VALID;
	}
	return SESSION_GONE;
}

/* -ENOMEM, or enum session_result. */
static int read_token(struct stream *stream, const struct route_session *rule,
		      const struct credential_location *location, struct client_session *session)
{
	const struct session_key *key = stream->lease->snapshot->session_key;
	struct exchange *exchange = stream->exchange;
	struct span text = { 0 };
	int result = credential_find(location, &exchange->head, &exchange->arena, &text);

	if (result < 0)
		return result;
	if (result != CREDENTIAL_FOUND)
		return result == CREDENTIAL_ABSENT ? SESSION_ABSENT : SESSION_INVALID;
	result = session_token_read(key, rule->scope, text, &session->token);
	if (result)
		return result == -EBADMSG ? SESSION_INVALID : result;
	if (is_expired(rule->policy, &session->token, now_s(stream)))
		return SESSION_EXPIRED;
	return find_endpoint(stream, session);
}

int session_find(struct stream *stream)
{
	const struct route_session *rule = stream->route->effective.session;
	struct credential_location location = location_of(rule);
	struct exchange *exchange = stream->exchange;
	struct client_session *session = arena_take(&exchange->arena, sizeof(*session));
	int result;

	if (!session)
		return -ENOMEM;
	session->is_secure = span_eq(route_rules_scheme(&exchange->head.fields, stream->client->is_trusted,
							client_is_tls(stream->client)),
				     SPAN("https"));
	result = read_token(stream, rule, &location, session);
	if (result < 0)
		return result;
	exchange->session = session;
	proxy_trace(stream->proxy, stream->id, TRACE_SESSION, (uint32_t)result, 0);
	return result == SESSION_ABSENT ? 0 : credential_remove(&location, &exchange->head, &exchange->arena);
}

const struct backend_ref *session_backend(const struct stream *stream)
{
	return stream->exchange->session ? stream->exchange->session->ref : NULL;
}

uint32_t session_endpoint(const struct stream *stream)
{
	const struct client_session *session = stream->exchange ? stream->exchange->session : NULL;

	return session && session->ref == stream->backend ? session->index : UINT32_MAX;
}

/* Whole seconds until the session ends. */
static uint64_t seconds_left(const struct session_persistence *policy, const struct session_token *token,
			     uint32_t now_s)
{
	uint64_t all_s = policy->absolute.ns / NS_PER_S,
		 used_s = now_s > token->issued_s ? now_s - token->issued_s : 0;

	return all_s > used_s ? all_s - used_s : 0;
}

/*
 * RFC 6265 4.1.1. HttpOnly: no script needs it. Secure: never for a client that came without TLS, which could
 * not send it.
 */
static int add_cookie(struct stream *stream, const struct route_session *rule, struct span value,
		      uint64_t left_s)
{
	static const char *const sites[] = { "Lax", "Strict", "None" };
	const struct session_cookie *cookie = &rule->policy->cookie;
	struct exchange *exchange = stream->exchange;
	struct span copy = { 0 };
	struct text text;

	text_init(&text);
	text_fmt(&text, "%.*s=%.*s; Path=%.*s; HttpOnly; SameSite=%s", SPAN_FMT(rule->name), SPAN_FMT(value),
		 SPAN_FMT(cookie->path), sites[cookie->same_site]);
	/* Browsers refuse SameSite=None without it. */
	if (exchange->session->is_secure || cookie->same_site == SESSION_SAME_SITE_NONE)
		text_str(&text, "; Secure");
	if (cookie->lifetime == SESSION_LIFETIME_PERMANENT)
		text_fmt(&text, "; Max-Age=%llu", (unsigned long long)left_s);
	if (!text_error(&text))
		copy = arena_copy(&exchange->response_arena, text_span(&text));
	text_done(&text);
	return copy.data ? fields_add(&exchange->response.fields, SPAN("set-cookie"), copy) : -ENOMEM;
}

static int add_token(struct stream *stream, const struct session_token *token)
{
	const struct route_session *rule = stream->route->effective.session;
	struct exchange *exchange = stream->exchange;
	char text[SESSION_TOKEN_TEXT_BYTES];
	struct span copy;
	int error = session_token_write(stream->lease->snapshot->session_key, rule->scope, token, text);

	if (error)
		return error;
	if (rule->policy->type == SESSION_COOKIE)
		return add_cookie(stream, rule, span_of(text, sizeof(text)),
				  seconds_left(rule->policy, token, now_s(stream)));
	copy = arena_copy(&exchange->response_arena, span_of(text, sizeof(text)));
	return copy.data ? fields_set(&exchange->response.fields, rule->name, copy) : -ENOMEM;
}

int session_answer(struct stream *stream)
{
	const struct client_session *session = stream->exchange->session;
	const struct backend *backend = stream_backend(stream);
	uint32_t at_s = now_s(stream), index = stream->attempt.endpoint_index;
	struct session_token token;
	int error;

	if (!session || !backend->tag_list || index >= backend->endpoint_count)
		return 0;
	if (session->ref == stream->backend && session->index == index) {
		if (!stream->route->effective.session->policy->idle.is_set || session->token.used_s == at_s)
			return 0;
		token = session->token;
		token.used_s = at_s;
		return add_token(stream, &token);
	}
	token = (struct session_token){ .issued_s = at_s, .used_s = at_s };
	error = session_endpoint_tag(stream->lease->snapshot->session_key, backend->name,
				     backend->endpoint_list[index].text, &token.endpoint);
	return error ? error : add_token(stream, &token);
}
