/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ui/state.h"

#include "admin/dump/certificates.h"
#include "admin/dump/config_dump_policy.h"
#include "config/gatewayapi/condition.h"
#include "policy/compile/certificate_list.h"
#include "policy/compile/origin.h"
#include "user/base/mem.h"
#include "user/base/units.h"

enum {
	STATE_MESSAGES = 20, /* errors, and as many warnings */
	STATE_MESSAGE_BYTES = 400,
};

static const struct snapshot *snapshot_of(const struct admin_hooks *hooks)
{
	return hooks->snapshot(hooks->context);
}

/* ---- configuration */

static void write_lines(struct json_writer *w, const char *key, struct span lines)
{
	struct span line;
	uint32_t count = 0;

	json_open_array(w, key);
	while (count < STATE_MESSAGES && span_split(&lines, '\n', &line)) {
		if (!line.len)
			continue;
		json_string(w, NULL, span_first(line, STATE_MESSAGE_BYTES));
		count++;
	}
	json_close(w);
}

void state_write_config(struct json_writer *w, const struct admin_hooks *hooks)
{
	struct admin_config_status status = { 0 };

	hooks->config_status(hooks->context, &status);
	json_open_object(w, "config");
	json_u64(w, "generation", status.generation);
	json_u64(w, "loaded", status.loaded_wall_us / NS_PER_US);
	json_bool(w, "ok", status.last_reload_ok);
	json_u64(w, "reloads", status.reloads_ok);
	json_u64(w, "refused", status.reloads_failed);
	write_lines(w, "errors", status.errors);
	write_lines(w, "warnings", status.warnings);
	json_close(w);
}

/* ---- conditions of Kubernetes objects */

struct conditions_list {
	struct json_writer *w;
	uint32_t limit;
	uint32_t written;
	uint64_t total;
	bool wants_good; /* this pass writes those that are as wanted */
};

/* Two types say that something is wrong by being true. */
static bool is_good(enum condition_type type, const struct status_condition *one)
{
	bool is_alarm = type == CONDITION_CONFLICTED || type == CONDITION_PARTIALLY_INVALID ||
			type == CONDITION_INSECURE_FRONTEND || type == CONDITION_OVERLAPPING_TLS;

	return one->is_true != is_alarm;
}

static void add_conditions(struct conditions_list *list, const struct status_object *object, struct span part,
			   const struct conditions *conditions)
{
	for (unsigned i = 0; i < CONDITION_TYPE_COUNT; i++) {
		const struct status_condition *one = &conditions->of[i];

		if (!one->is_set || is_good((enum condition_type)i, one) != list->wants_good)
			continue;
		list->total++;
		if (list->written == list->limit)
			continue;
		list->written++;
		json_open_object(list->w, NULL);
		json_str(list->w, "kind", object->kind);
		json_string(list->w, "namespace", object->namespace);
		json_string(list->w, "name", object->name);
		json_string_or_null(list->w, "part", part);
		json_str(list->w, "type", condition_name((enum condition_type)i));
		json_bool(list->w, "status", one->is_true);
		json_bool(list->w, "good", list->wants_good);
		json_str(list->w, "reason", one->reason);
		json_string(list->w, "message", span_first(one->message, STATE_MESSAGE_BYTES));
		json_close(list->w);
	}
}

static void add_object(struct conditions_list *list, const struct status_object *object)
{
	add_conditions(list, object, (struct span){ 0 }, &object->conditions);
	for (const struct status_listener *l = object->listener_list; l; l = l->next)
		add_conditions(list, object, l->name, &l->conditions);
	for (const struct status_parent *parent = object->parent_list; parent; parent = parent->next)
		add_conditions(list, object, parent->name, &parent->conditions);
}

void state_write_conditions(struct json_writer *w, const struct admin_hooks *hooks, uint32_t limit)
{
	const struct snapshot *snapshot = snapshot_of(hooks);
	struct conditions_list list = { .w = w, .limit = limit };

	json_open_object(w, "conditions");
	json_open_array(w, "rows");
	for (int pass = 0; pass < 2 && snapshot; pass++) {
		list.wants_good = pass == 1;
		for (const struct status_object *object = snapshot->status_list; object;
		     object = object->next) {
			if (!object->is_foreign)
				add_object(&list, object);
		}
	}
	json_close(w);
	json_u64(w, "total", list.total);
	json_close(w);
}

/* ---- certificates */

void state_write_certificates(struct json_writer *w, const struct admin_hooks *hooks, uint32_t limit,
			      int64_t now_s)
{
	const struct snapshot *snapshot = snapshot_of(hooks);

	json_open_array(w, "certificates");
	for (uint32_t i = 0; snapshot && i < snapshot->certificate_count && i < limit; i++)
		certificate_entry_write(w, &snapshot->certificate_list[i], now_s);
	json_close(w);
}

/* ---- starts */

void state_write_restarts(struct json_writer *w, const struct admin_hooks *hooks)
{
	struct admin_restarts restarts;

	if (!hooks->restarts || !hooks->restarts(hooks->context, &restarts))
		return;
	json_open_object(w, "restarts");
	json_u64(w, "crashes", restarts.crashes);
	json_u64(w, "resumed", restarts.resumed);
	json_u64(w, "notResumed", restarts.not_resumed);
	json_open_array(w, "starts");
	for (uint32_t i = 0; i < restarts.start_count; i++) {
		json_open_object(w, NULL);
		json_u64(w, "at", restarts.start_list[i].wall_us / NS_PER_US);
		json_str(w, "cause", restarts.start_list[i].cause);
		json_close(w);
	}
	json_close(w);
	json_close(w);
}

/* ---- policies of a route */

/* "FILE:LINE:COLUMN" of "FILE:LINE:COLUMN: path". */
static struct span place_of(struct span where)
{
	for (size_t i = 0; i + 1 < where.len; i++) {
		if (where.data[i] == ':' && where.data[i + 1] == ' ')
			return span_first(where, i);
	}
	return where;
}

static void write_origin(struct json_writer *w, const struct policy_origin *origin)
{
	const struct targeted_policy *policy = origin->policy;

	json_open_object(w, NULL);
	json_bool(w, "wins", origin->wins);
	json_str(w, "level", origin->level_name);
	if (origin->is_gateway_phase)
		json_bool(w, "beforeRoute", true);
	json_string(w, "from", policy ? policy->key : origin->route->key);
	json_string(w, "where", place_of(policy ? policy->where : origin->route->where));
	if (policy && policy->lost_to.len)
		json_string(w, "lostTo", policy->lost_to);
	json_open_array(w, "lost");
	for (uint32_t i = 0; policy && i < policy->lost_count; i++)
		json_string(w, NULL, policy->lost_list[i]);
	json_close(w);
	json_open_object(w, "value");
	dump_policy_value(w, &(struct policy_value){ origin->kind, origin->object });
	json_close(w);
	json_close(w);
}

static bool write_route(struct json_writer *w, const struct snapshot *snapshot, const struct bind *bind,
			const struct listener *listener, const struct route *route)
{
	struct policy_origins *origins = hg_calloc(1, sizeof(*origins));

	if (!origins)
		return false;
	policy_origins_of(snapshot, bind, listener, route, origins);
	json_open_object(w, "policies");
	json_string(w, "route", route->label);
	json_string(w, "rule", route->rule_name);
	json_string(w, "listener", listener->listener_name);
	json_bool(w, "cut", origins->is_cut);
	json_open_array(w, "rows");
	for (uint32_t i = 0; i < origins->count; i++)
		write_origin(w, &origins->list[i]);
	json_close(w);
	json_close(w);
	hg_free(origins);
	return true;
}

void state_write_policies(struct json_writer *w, const struct admin_hooks *hooks, struct span key)
{
	const struct snapshot *snapshot = snapshot_of(hooks);

	for (uint32_t b = 0; snapshot && b < snapshot->bind_count; b++) {
		const struct bind *bind = &snapshot->bind_list[b];

		for (uint32_t l = 0; l < bind->listener_count; l++) {
			const struct listener *listener = &bind->listener_list[l];

			for (uint32_t i = 0; i < listener->route_count; i++) {
				if (span_eq(listener->route_list[i].key, key)) {
					write_route(w, snapshot, bind, listener, &listener->route_list[i]);
					return;
				}
			}
		}
	}
}
