/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/span.h"

/*
 * Part of config/model.h: the status of Kubernetes objects, as an API server would show it (Gateway API v1,
 * `status` of GatewayClass, Gateway, the routes and the policies). config/gatewayapi/status.h fills it.
 */
enum condition_type {
	CONDITION_ACCEPTED,
	CONDITION_PROGRAMMED,
	CONDITION_RESOLVED_REFS,
	CONDITION_CONFLICTED,
	CONDITION_PARTIALLY_INVALID, /* of a route; only ever True */
	CONDITION_ATTACHED, /* of an AgentgatewayPolicy */
	CONDITION_INSECURE_FRONTEND, /* of a Gateway; only ever True */
	CONDITION_OVERLAPPING_TLS, /* of a listener; only ever True */
	CONDITION_SUPPORTED_VERSION, /* of a GatewayClass; its definitions are those of a known version */
	CONDITION_TYPE_COUNT,
};

struct status_condition {
	bool is_set;
	bool is_true;
	const char *reason; /* static, or in the arena; matches ^[A-Za-z][A-Za-z0-9]*$ */
	struct span message; /* may be empty */
};

struct conditions {
	struct status_condition of[CONDITION_TYPE_COUNT];
};

static inline bool condition_is_false(const struct conditions *conditions, enum condition_type type)
{
	return conditions->of[type].is_set && !conditions->of[type].is_true;
}

/*
 * Sets a condition to False. Of several reasons the first one stays: it is the cause. `reason` and `message`
 * must live as long as the snapshot.
 */
static inline void condition_fail(struct conditions *conditions, enum condition_type type, const char *reason,
				  struct span message)
{
	if (!condition_is_false(conditions, type))
		conditions->of[type] =
			(struct status_condition){ .is_set = true, .reason = reason, .message = message };
}

enum { STATUS_KINDS_MAX = 8 }; /* of a listener, as in the CRD */

struct status_listener {
	struct status_listener *next;
	struct span name;
	const char *kind_list[STATUS_KINDS_MAX]; /* group gateway.networking.k8s.io */
	uint32_t kind_count;
	uint32_t attached_routes;
	struct conditions conditions;
};

/* `parents[]` of a route: a parentRef as written. `ancestors[]` of a policy: the object that it affects. */
struct status_parent {
	struct status_parent *next;
	struct span group;
	struct span kind;
	struct span namespace;
	struct span name;
	struct span section; /* empty: none */
	uint16_t port; /* 0: none */
	bool is_missing; /* there is no such object: on an API server another program may expect it */
	struct conditions conditions;
};

struct status_address {
	struct span value;
	bool is_hostname;
	bool is_elsewhere; /* of a load balancer or another machine: no listener is on it */
};

struct status_port {
	const struct status_port *next;
	uint16_t port;
};

enum status_form {
	STATUS_PLAIN, /* conditions */
	STATUS_CLASS, /* and supportedFeatures */
	STATUS_GATEWAY, /* and addresses, listeners */
	STATUS_LISTENER_SET, /* and listeners */
	STATUS_ROUTE, /* parents */
	STATUS_POLICY, /* ancestors */
};

struct status_object {
	struct status_object *next;
	enum status_form form;
	bool is_foreign; /* of a Gateway of another program: not shown */
	struct span api_version;
	const char *kind;
	struct span namespace; /* empty: a GatewayClass */
	struct span name;
	uint64_t generation; /* metadata.generation of what is in force; 0: not in the file */
	struct conditions conditions;
	struct status_listener *listener_list; /* in the order of the spec */
	struct status_parent *parent_list;
	struct status_parent *parent_last;
	/* of the Gateway alone, or those of --status-addresses; none: all addresses of the machine */
	const struct status_address *address_list;
	uint32_t address_count;
	bool has_no_address; /* a Gateway that is reached at none */
	const struct status_port *port_list; /* of a Gateway: those that are served, also for ListenerSets */
	struct status_object *gateway; /* of a ListenerSet: the Gateway that takes it; NULL: none */
	uint32_t attached_sets; /* of a Gateway: its ListenerSets that are accepted */
};

/* A Kubernetes object without errors, for the next load: config/gatewayapi/kept_object.h. */
struct kept_object {
	const struct kept_object *next;
	struct span label; /* "HTTPRoute app/r" */
	struct span text; /* JSON */
};
