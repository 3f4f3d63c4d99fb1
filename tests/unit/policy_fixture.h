/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/compile/effective.h"
#include "tests/unit/policy_model.h"

/*
 * One gateway with one listener, one HTTP and one TCP rule of the same name, one service behind both.
 * Policies are entered at the places of `enum place`, from weak to strong.
 */
enum place {
	AT_GATEWAY,
	AT_GATEWAY_PORT,
	AT_LISTENER,
	AT_SERVICE,
	AT_SERVICE_PORT,
	AT_ROUTE,
	AT_RULE,
	IN_RULE,
	IN_BACKEND,
	IN_REF,
	IN_REF_FILTERS,
	PLACE_COUNT,
};

struct fixture {
	struct model model;
	struct bind *bind;
	struct listener *listener;
	struct route *route;
	struct tcp_route *tcp_route;
	struct backend *backend;
	struct backend_ref *ref;
	struct backend_ref *tcp_ref;
};

static inline void fixture_build(struct fixture *f)
{
	struct model *m = &f->model;

	model_init(m);
	if (m->failed)
		return;
	f->bind = model_bind(m, 8080);
	f->listener = model_listener(m, f->bind, "infra", "gw", "http", "");
	f->route = model_route(m, f->listener, "app/shop.0.0.http");
	f->route->namespace = SPAN("app");
	f->route->name = SPAN("shop");
	f->route->rule_name = SPAN("first");
	f->route->kind = SPAN("HTTPRoute");
	f->backend = model_backend(m, BACKEND_SERVICE, "app", "app/svc.app.svc.cluster.local");
	f->ref = model_ref(m, f->route, f->backend, 1);
	f->ref->service_port = 80;
	f->tcp_route = MODEL_NEXT(m, f->listener->tcp_route_list, f->listener->tcp_route_count);
	*f->tcp_route = (struct tcp_route){ .key = SPAN("app/shop.0.0.http"),
					    .namespace = SPAN("app"),
					    .name = SPAN("shop"),
					    .rule_name = SPAN("first") };
	f->tcp_ref = MODEL_NEXT(m, f->tcp_route->backend_list, f->tcp_route->backend_count);
	*f->tcp_ref = (struct backend_ref){ .weight = 1, .backend = f->backend, .service_port = 80 };
}

static inline void fixture_init(struct fixture *f)
{
	fixture_build(f);
	assert_false(f->model.failed);
}

static inline void fixture_done(struct fixture *f)
{
	model_done(&f->model);
}

static inline void fixture_compile(struct fixture *f)
{
	assert_false(f->model.failed);
	assert_int_equal(policy_compile(f->model.snapshot, &f->model.report), 0);
}

static inline struct policy_target target_at(enum place place)
{
	struct policy_target target = target_of(TARGET_GATEWAY, "infra", "gw", "");

	if (place == AT_LISTENER)
		target.section = SPAN("http");
	if (place == AT_GATEWAY_PORT)
		target.port = 8080;
	if (place == AT_SERVICE || place == AT_SERVICE_PORT)
		target = target_of(TARGET_SERVICE, "app", "svc.app.svc.cluster.local", "");
	if (place == AT_SERVICE_PORT)
		target.port = 80;
	if (place == AT_ROUTE || place == AT_RULE)
		target = target_of(TARGET_ROUTE, "app", "shop", place == AT_RULE ? "first" : "");
	return target;
}

static inline void fixture_put(struct fixture *f, enum place place, enum policy_kind kind, const void *object,
			       const char *key)
{
	struct model *m = &f->model;

	switch (place) {
	case AT_GATEWAY:
	case AT_GATEWAY_PORT:
	case AT_LISTENER:
	case AT_SERVICE:
	case AT_SERVICE_PORT:
	case AT_ROUTE:
	case AT_RULE:
		model_policy(m, key, kind, object, target_at(place));
		break;
	case IN_RULE:
		model_value(m, &f->route->inline_policies, kind, object);
		break;
	case IN_BACKEND:
		model_value(m, &f->backend->inline_policies, kind, object);
		break;
	case IN_REF:
		model_value(m, &f->ref->inline_policies, kind, object);
		break;
	case IN_REF_FILTERS:
		model_value(m, &f->ref->filters, kind, object);
		break;
	case PLACE_COUNT:
		break;
	}
}

/* Zeros are a valid object of every kind; only the addresses matter here. */
static const _Alignas(max_align_t) char objects[2][512];
