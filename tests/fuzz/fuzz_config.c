/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration texts of both styles; a line "%%%%" separates two files. What has to hold for each input:
 *   - it is accepted, or refused with at least one message that is one printable line;
 *   - loading it twice says and makes the same;
 *   - what is accepted is complete: sorted, every reference has a backend, every route a match, and it can be
 * compiled.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/dump/status.h"
#include "config/load.h"
#include "policy/compile/effective.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                      \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);              \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

#define SEPARATOR "\n%%%%\n"

/* ---- what is accepted ---- */

static void check_refs(const struct snapshot *s, const struct backend_ref *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct backend *backend = list[i].backend;

		MUST(backend && backend->index < s->backend_count &&
		     backend == &s->backend_list[backend->index]);
		MUST(list[i].is_invalid == (backend->kind == BACKEND_INVALID));
		MUST(list[i].is_invalid || list[i].service_name.len || list[i].backend_name.len);
	}
}

static void check_route(const struct snapshot *s, const struct route *route)
{
	MUST(route->key.len && route->name.len && route->namespace.len && route->match_count > 0);
	for (uint32_t i = 0; i < route->match_count; i++)
		MUST(route->match_list[i].path.len > 0);
	for (uint32_t i = 0; i < route->inline_policies.value_count; i++)
		MUST(route->inline_policies.value_list[i].object);
	check_refs(s, route->backend_list, route->backend_count);
}

static bool covers(struct span wider, struct span name)
{
	return span_starts(wider, SPAN("*.")) ? span_ends(name, span_from(wider, 1)) : span_eq(wider, name);
}

static bool names_meet(const struct route *a, const struct route *b)
{
	for (uint32_t i = 0; i < a->hostname_count; i++)
		for (uint32_t k = 0; k < b->hostname_count; k++)
			if (covers(a->hostname_list[i], b->hostname_list[k]) ||
			    covers(b->hostname_list[k], a->hostname_list[i]))
				return true;
	return !a->hostname_count || !b->hostname_count;
}

/* Gateway API: a host name of a listener has HTTPRoutes or GRPCRoutes. */
static void check_kinds(const struct listener *listener)
{
	for (uint32_t i = 0; i < listener->route_count; i++)
		for (uint32_t k = 0; k < i; k++)
			MUST(listener->route_list[i].group != listener->route_list[k].group ||
			     listener->route_list[i].is_grpc == listener->route_list[k].is_grpc ||
			     !names_meet(&listener->route_list[i], &listener->route_list[k]));
}

static void check_listener(const struct snapshot *s, const struct bind *bind, const struct listener *listener)
{
	bool is_http = listener->protocol == PROTOCOL_HTTP || listener->protocol == PROTOCOL_HTTPS;
	const struct listener_tls *tls = listener->tls;

	MUST(listener->protocol != PROTOCOL_HTTPS || tls);
	MUST(!tls || (bind->protocol == BIND_TLS && (tls->identity_count || tls->invalid_reason.len)));
	MUST((bind->protocol == BIND_HTTP) == (listener->protocol == PROTOCOL_HTTP) &&
	     (bind->protocol == BIND_TCP) == (listener->protocol == PROTOCOL_TCP));
	MUST(listener->key.len && (is_http ? listener->tcp_route_count : listener->route_count) == 0);
	for (uint32_t i = 0; i < listener->route_count; i++) {
		MUST(i == 0 ||
		     span_compare(listener->route_list[i - 1].key, listener->route_list[i].key) < 0);
		check_route(s, &listener->route_list[i]);
	}
	check_kinds(listener);
	for (uint32_t i = 0; i < listener->tcp_route_count; i++) {
		const struct tcp_route *route = &listener->tcp_route_list[i];

		MUST(i == 0 || span_compare(route[-1].key, route->key) < 0);
		check_refs(s, route->backend_list, route->backend_count);
	}
}

static void check_snapshot(const struct snapshot *s)
{
	for (uint32_t i = 0; i < s->bind_count; i++) {
		const struct bind *bind = &s->bind_list[i];

		MUST(bind->port && bind->listener_count && address_port(&bind->address) == bind->port);
		MUST(i == 0 || span_compare(bind[-1].key, bind->key) < 0);
		for (uint32_t k = 0; k < bind->listener_count; k++) {
			MUST(k == 0 ||
			     span_compare(bind->listener_list[k - 1].key, bind->listener_list[k].key) < 0);
			check_listener(s, bind, &bind->listener_list[k]);
		}
	}
	for (uint32_t i = 1; i < s->policy_count; i++)
		MUST(span_compare(s->policy_list[i - 1].key, s->policy_list[i].key) < 0);
	for (uint32_t i = 0; i < s->policy_count; i++)
		MUST(s->policy_list[i].value.object && s->policy_list[i].target.name.len);
	for (uint32_t i = 0; i < s->backend_count; i++) {
		const struct backend *backend = &s->backend_list[i];

		MUST(backend->index == i && backend->name.len);
		MUST(i == 0 || span_compare(backend[-1].name, backend->name) <= 0);
		MUST(backend->kind == BACKEND_SERVICE || backend->kind == BACKEND_INVALID ||
		     backend->endpoint_count == 1);
		for (uint32_t k = 0; k < backend->endpoint_count; k++)
			MUST(backend->endpoint_list[k].text.len &&
			     backend->endpoint_list[k].is_resolved ==
				     (backend->endpoint_list[k].address.len != 0));
	}
}

/* ---- what is compiled ---- */

static void check_compiled_refs(const struct backend_ref *list, uint32_t count, uint64_t weight_sum)
{
	for (uint32_t i = 0; i < count; i++) {
		MUST(!list[i].backend->splice_off || list[i].splice_off);
		MUST(!list[i].splice_off || !list[i].is_same_host);
		weight_sum -= list[i].weight;
	}
	MUST(weight_sum == 0);
}

static void check_compiled(const struct snapshot *s)
{
	for (uint32_t i = 0; i < s->bind_count; i++) {
		for (uint32_t k = 0; k < s->bind_list[i].listener_count; k++) {
			const struct listener *listener = &s->bind_list[i].listener_list[k];

			for (uint32_t r = 0; r < listener->route_count; r++)
				check_compiled_refs(listener->route_list[r].backend_list,
						    listener->route_list[r].backend_count,
						    listener->route_list[r].weight_sum);
			for (uint32_t r = 0; r < listener->tcp_route_count; r++)
				check_compiled_refs(listener->tcp_route_list[r].backend_list,
						    listener->tcp_route_list[r].backend_count,
						    listener->tcp_route_list[r].weight_sum);
		}
	}
}

/* Reasons have the form that the API demands. */
static void check_conditions(const struct conditions *conditions)
{
	for (unsigned i = 0; i < CONDITION_TYPE_COUNT; i++) {
		const struct status_condition *one = &conditions->of[i];

		MUST(!one->is_set || (one->reason && one->reason[0] >= 'A' && one->reason[0] <= 'Z'));
	}
}

static void check_status(const struct snapshot *s)
{
	struct text shown;

	for (const struct status_object *object = s->status_list; object; object = object->next) {
		check_conditions(&object->conditions);
		for (const struct status_listener *l = object->listener_list; l; l = l->next)
			check_conditions(&l->conditions);
		for (const struct status_parent *parent = object->parent_list; parent; parent = parent->next)
			check_conditions(&parent->conditions);
	}
	for (uint32_t i = 0; i < s->bind_count; i++)
		for (uint32_t k = 0; k < s->bind_list[i].listener_count; k++) {
			const struct status_listener *l = s->bind_list[i].listener_list[k].status;

			MUST(!l || !l->conditions.of[CONDITION_CONFLICTED].is_true);
		}
	text_init(&shown);
	status_write(s, &(struct status_host){ 0 }, &shown);
	status_table(s, &(struct status_host){ 0 }, &shown);
	text_done(&shown);
}

/* ---- loading ---- */

static void check_messages(const struct config_report *report)
{
	for (uint32_t i = 0; i < report->message_count; i++) {
		struct span text = report->message_list[i].text;

		MUST(text.len > 0);
		for (size_t k = 0; k < text.len; k++)
			MUST((unsigned char)text.data[k] >= 0x20 && text.data[k] != 0x7f);
	}
}

static struct snapshot *load(const struct config_source *list, size_t count, struct config_report *report)
{
	struct snapshot *snapshot = NULL;
	int r;

	config_report_init(report);
	r = config_load(list, count, NULL, report, &snapshot);
	MUST(r == 0 || r == -EINVAL);
	MUST((r == 0) == (snapshot != NULL) && (r == 0) == !config_report_refuses(report));
	check_messages(report);
	return snapshot;
}

static void compare(const struct config_report *a, const struct config_report *b, const struct snapshot *x,
		    const struct snapshot *y)
{
	MUST(a->message_count == b->message_count);
	for (uint32_t i = 0; i < a->message_count; i++)
		MUST(span_eq(a->message_list[i].text, b->message_list[i].text));
	MUST(!x == !y);
	if (x)
		MUST(x->bind_count == y->bind_count && x->policy_count == y->policy_count &&
		     x->backend_count == y->backend_count && x->arena->total_bytes == y->arena->total_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *split = memmem(data, size, SEPARATOR, sizeof(SEPARATOR) - 1);
	size_t first = split ? (size_t)(split - (const char *)data) + 1 : size;
	const size_t skipped = sizeof(SEPARATOR) - 2;
	const struct config_source list[] = {
		{ .path = "a", .has_text = true, .text = span_of(data, first) },
		{ .path = "b",
		  .has_text = true,
		  .text = split ? span_of(data + first + skipped, size - first - skipped) : SPAN("") },
	};
	struct config_report report, again;
	struct snapshot *snapshot, *twin;

	snapshot = load(list, split ? 2 : 1, &report);
	twin = load(list, split ? 2 : 1, &again);
	compare(&report, &again, snapshot, twin);
	if (snapshot) {
		int r;

		check_snapshot(snapshot);
		r = policy_compile(snapshot, &report);
		MUST(r == 0 || (r == -EINVAL && config_report_refuses(&report)));
		if (r == 0) {
			check_compiled(snapshot);
			check_status(snapshot);
		}
		check_messages(&report);
	}
	snapshot_unref(snapshot);
	snapshot_unref(twin);
	config_report_done(&report);
	config_report_done(&again);
	return 0;
}
