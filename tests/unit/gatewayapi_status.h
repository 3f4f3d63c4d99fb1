/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <string.h>

#include "config/gatewayapi/condition.h"
#include "config/snapshot.h"
#include "policy/compile/effective.h"
#include "tests/unit/config_text.h"

/* Short manifests, of which some are wrong, and what is served of them. */

#define API "apiVersion: gateway.networking.k8s.io/v1, "
#define META(name) "metadata: {name: " name "}, "
#define OBJECT(kind, name, spec) "{" API "kind: " kind ", " META(name) "spec: {" spec "}}\n---\n"
#define AT(kind, name, second, spec)                                                                         \
	"{" API "kind: " kind ", metadata: {name: " name ", creationTimestamp: '2026-01-01T00:00:" second    \
	"Z'}, spec: {" spec "}}\n---\n"
#define GATEWAY(listeners) OBJECT("Gateway", "g", "listeners: [" listeners "]")
#define HTTP(name, port) "{name: " name ", port: " port ", protocol: HTTP}"
#define G GATEWAY(HTTP("a", "80"))
#define ROUTE(spec) OBJECT("HTTPRoute", "r", spec)
#define TO_G "parentRefs: [{name: g}], "
#define BACKEND "backendRefs: [{name: s, port: 80}]"
#define SERVICE                                                                                              \
	"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80, name: http}]}}\n---\n"
#define RULES "rules: [{" BACKEND "}]"
#define POLICY(target, more)                                                                                 \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: p}, spec: "      \
	"{targetRefs: [{" target "}], " more "}}\n---\n"
#define ROUTED G SERVICE ROUTE(TO_G RULES)
#define RULE(path, more) "{matches: [{path: {value: " path "}}], " more BACKEND "}"
#define WRONG "timeouts: {request: soon}, "

/* "/a ok" for a route that is served, "/a 500" for one that is refused, or whose backend is. */
static inline void served_add(struct text *out, const struct route *route)
{
	bool is_refused = route->is_refused || !route->backend_count ||
			  route->backend_list[0].backend->kind == BACKEND_INVALID ||
			  (route->backend_list[0].tls && route->backend_list[0].tls->invalid_reason.len);

	text_fmt(out, "%.*s %s\n", SPAN_FMT(route->match_list[0].path), is_refused ? "500" : "ok");
}

/* What the first listener of each port serves, HTTP before TCP. */
static inline void serves(const char *text, const char *expected)
{
	struct config_case c;
	struct text found;

	config_case_text(&c, text);
	assert_int_equal(c.result, 0);
	assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
	text_init(&found);
	for (uint32_t b = 0; b < c.snapshot->bind_count; b++) {
		const struct listener *listener = &c.snapshot->bind_list[b].listener_list[0];

		for (uint32_t i = 0; i < listener->route_count; i++)
			served_add(&found, &listener->route_list[i]);
		for (uint32_t i = 0; i < listener->tcp_route_count; i++)
			text_fmt(&found, "tcp %s\n",
				 listener->tcp_route_list[i].backend_list[0].backend->kind == BACKEND_INVALID
					 ? "500"
					 : "ok");
	}
	if (!span_eq(text_span(&found), span_str(expected)))
		fail_msg("\"%.*s\" instead of \"%s\" for\n%s", SPAN_FMT(text_span(&found)), expected, text);
	text_done(&found);
	config_case_done(&c);
}
