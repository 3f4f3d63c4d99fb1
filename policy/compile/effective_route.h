/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/compile/attach.h"
#include "policy/compile/effective.h"
#include "policy/compile/precedence.h"
#include "policy/match/route_table.h"

/* A snapshot while policy_compile() runs. */
struct compile {
	const struct route_watch *watch; /* NULL: none */
	struct snapshot *snapshot;
	struct config_report *report;
	struct attachments attachments;
	size_t union_bytes_left; /* for the automata of routes */
	struct route_groups groups; /* of the listener that is compiled */
};

/*
 * What applies to routes and to their references to backends. `outer` holds the policies of gateway and
 * listener. Functions return 0 or -ENOMEM; mistakes go to the report.
 */
/* The routes of a group of compile->groups, and those that they delegate to. */
int compile_routes(struct compile *compile, const struct precedence *outer, const struct listener *listener,
		   uint32_t group);
int compile_tcp_route(const struct compile *compile, const struct precedence *outer,
		      const struct listener *listener, struct tcp_route *route);
/* The service that a policy calls: the policies of its backend. */
int compile_callout(const struct compile *compile, const struct callout_target *target);
/* Adds the policies of a backend; `port` is that of a Service, otherwise 0. */
bool compile_enter_backend(const struct compile *compile, struct precedence *precedence,
			   const struct backend *backend, uint16_t port);
/* "namespace/name", in memory of the arena. */
int compile_label_make(struct arena *arena, struct span namespace, struct span name, struct span *ret_label);
