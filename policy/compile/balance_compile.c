/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/balance_compile.h"

#include <errno.h>

#include "user/base/hash.h"
#include "user/base/text.h"
#include "user/base/units.h"

/* ---- the choice among endpoints */

/* Tells the backend what its references need of it. */
static void note_balancer(const struct compile *compile, const struct backend_ref *ref)
{
	struct backend *backend = &compile->snapshot->backend_list[ref->backend->index];
	const struct load_balancer *balancer = ref->balancer;

	if (balancer && balancer->has_slow_start &&
	    backend->slow_start_ms < balancer->slow_start.window_ns / NS_PER_MS)
		backend->slow_start_ms = balancer->slow_start.window_ns / NS_PER_MS;
	if (!ref->affinity)
		return;
	backend->is_hashed = true;
	if (backend->hash_slots < ref->affinity->table_slots)
		backend->hash_slots = ref->affinity->table_slots;
}

void balance_compile_ref(const struct compile *compile, const struct precedence *outer,
			 const struct precedence *own, struct backend_ref *ref)
{
	const struct affinity *affinity = precedence_stronger(outer, own, POLICY_SESSION_AFFINITY);
	const struct load_balancer *balancer = precedence_stronger(outer, own, POLICY_LOAD_BALANCER);

	ref->balancer = balancer;
	/* A policy of its own is more special than a part of another one. */
	ref->affinity = affinity ? affinity : balancer && balancer->has_hash ? &balancer->hash : NULL;
	note_balancer(compile, ref);
}

/* ---- sessions */

/* It may have endpoints that a session leads to. */
static bool has_endpoints(const struct backend *backend)
{
	return backend->kind == BACKEND_HOST || backend->kind == BACKEND_UNIX ||
	       backend->kind == BACKEND_SERVICE;
}

/* 8 hexadecimal digits that differ among the rules of a site: names, not secrets. */
static unsigned int short_hash(struct span scope)
{
	return (unsigned int)(hash_mix(hash_bytes(scope), 0) >> 32);
}

int balance_compile_session(const struct compile *compile, const struct session_persistence *policy,
			    struct route *route)
{
	struct snapshot *snapshot = compile->snapshot;
	struct route_session *session;
	struct text scope, name;
	int error;

	if (!policy)
		return 0;
	session = arena_take(snapshot->arena, sizeof(*session));
	text_init(&scope);
	text_init(&name);
	text_fmt(&scope, "%.*s/%.*s/", SPAN_FMT(route->namespace), SPAN_FMT(route->name));
	if (route->rule_name.len)
		text_add(&scope, route->rule_name);
	else
		text_fmt(&scope, "%u", route->rule_index);
	text_fmt(&name, "headgate-session-%08x", short_hash(text_span(&scope)));
	error = session ? text_error(&scope) | text_error(&name) : -ENOMEM;
	if (!error) {
		session->policy = policy;
		session->scope = arena_copy(snapshot->arena, text_span(&scope));
		session->name =
			policy->name.len ? policy->name : arena_copy(snapshot->arena, text_span(&name));
		error = session->scope.data && session->name.data ? 0 : -ENOMEM;
	}
	text_done(&scope);
	text_done(&name);
	route->effective.session = session;
	snapshot->has_sessions = true;
	for (uint32_t i = 0; i < route->backend_count; i++)
		if (has_endpoints(route->backend_list[i].backend))
			snapshot->backend_list[route->backend_list[i].backend->index].has_sessions = true;
	return error;
}
