/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/config_dump_policy.h"

#include <stdio.h>

#include "admin/config_dump_schema.h"
#include "config/core/policy_value.h"
#include "policy/attach.h"
#include "user/base/units.h"


/* Policies carry the kind only where the original prints it: an HTTPRoute is what everybody means. */
static bool is_kind_shown(struct span kind)
{
	return kind.len > 0 && !span_eq(kind, SPAN("HTTPRoute"));
}

static void dump_names(struct json_writer *w, const char *key, const struct span *list, uint32_t count)
{
	if (count == 0)
		return;
	json_open_array(w, key);
	for (uint32_t i = 0; i < count; i++)
		json_string(w, NULL, list[i]);
	json_close(w);
}

static void dump_pairs(struct json_writer *w, const char *key, const struct header_pair *list, uint32_t count)
{
	if (count == 0)
		return;
	json_open_object(w, key);
	for (uint32_t i = 0; i < count; i++) {
		json_key(w, list[i].name);
		json_string(w, NULL, list[i].value);
	}
	json_close(w);
}

static void dump_headers(struct json_writer *w, const struct header_modifier *headers)
{
	dump_pairs(w, "add", headers->add_list, headers->add_count);
	dump_pairs(w, "set", headers->set_list, headers->set_count);
	dump_names(w, "remove", headers->remove_list, headers->remove_count);
}

static void dump_authority(struct json_writer *w, const struct url_rewrite *url)
{
	switch (url->authority_kind) {
	case AUTHORITY_KEEP:
		return;
	case AUTHORITY_AUTO:
		json_str(w, "authority", "auto");
		return;
	case AUTHORITY_NONE:
		json_str(w, "authority", "none");
		return;
	case AUTHORITY_FULL:
	case AUTHORITY_HOST:
	case AUTHORITY_PORT:
		break;
	}
	json_open_object(w, "authority");
	if (url->authority_kind == AUTHORITY_PORT)
		json_u64(w, "port", url->port);
	else
		json_string(w, url->authority_kind == AUTHORITY_FULL ? "full" : "host", url->authority);
	json_close(w);
}

static void dump_url(struct json_writer *w, const struct url_rewrite *url)
{
	dump_authority(w, url);
	if (url->path_kind == PATH_KEEP)
		return;
	json_open_object(w, "path");
	json_string(w, url->path_kind == PATH_FULL ? "full" : "prefix", url->path);
	json_close(w);
}

static void dump_redirect(struct json_writer *w, const struct redirect_policy *redirect)
{
	if (redirect->scheme.len)
		json_string(w, "scheme", redirect->scheme);
	dump_url(w, &redirect->url);
	if (redirect->status)
		json_u64(w, "status", redirect->status);
}

void dump_backend_reference(struct json_writer *w, const struct backend_ref *ref)
{
	if (ref->is_invalid) {
		json_null(w, "invalid");
	} else if (ref->service_name.len) {
		json_open_object(w, "service");
		json_string(w, "name", ref->service_name);
		json_u64(w, "port", ref->service_port);
		json_close(w);
	} else {
		json_string(w, "backend", ref->backend_name);
	}
}

static void dump_mirror(struct json_writer *w, const struct mirror_policy *mirror)
{
	json_open_object(w, "backend");
	if (mirror->ref)
		dump_backend_reference(w, mirror->ref);
	else
		json_null(w, "invalid");
	json_close(w);
	dump_share(w, "percentage", mirror->per_million);
}

/* A connect timeout is shown as it was written. */
static void dump_backend_tcp(struct json_writer *w, const struct backend_tcp *tcp)
{
	struct backend_tcp plain = *tcp;

	if (tcp->connect_timeout_as_object)
		plain.connect_timeout.is_set = false;
	dump_rows(w, policy_schema(POLICY_BACKEND_TCP), &plain);
	if (!tcp->connect_timeout_as_object)
		return;
	json_open_object(w, "connectTimeout");
	json_u64(w, "secs", tcp->connect_timeout.ns / NS_PER_S);
	json_u64(w, "nanos", tcp->connect_timeout.ns % NS_PER_S);
	json_close(w);
}

static void dump_policy_members(struct json_writer *w, enum policy_kind kind, const void *object)
{
	const struct access_log_policy *access_log = object;
	const struct direct_response *direct = object;

	switch (kind) {
	case POLICY_FRONTEND_HTTP:
	case POLICY_FRONTEND_TCP:
	case POLICY_FRONTEND_CONNECT:
	case POLICY_TIMEOUT:
	case POLICY_RETRY:
	case POLICY_DELAY:
	case POLICY_BACKEND_HTTP:
	case POLICY_BACKEND_HEALTH:
		dump_rows(w, policy_schema(kind), object);
		return;
	case POLICY_FRONTEND_ACCESS_LOG:
		dump_names(w, "remove", access_log->remove_list, access_log->remove_count);
		return;
	case POLICY_REQUEST_HEADERS:
	case POLICY_RESPONSE_HEADERS:
		dump_headers(w, object);
		return;
	case POLICY_REDIRECT:
		dump_redirect(w, object);
		return;
	case POLICY_URL_REWRITE:
		dump_url(w, object);
		return;
	case POLICY_MIRROR:
		dump_mirror(w, object);
		return;
	case POLICY_DIRECT_RESPONSE:
		json_base64(w, "body", direct->body);
		json_u64(w, "status", direct->status);
		return;
	case POLICY_BACKEND_TCP:
		dump_backend_tcp(w, object);
		return;
	case POLICY_KIND_COUNT:
		return;
	}
}

void dump_policy_value(struct json_writer *w, const struct policy_value *value)
{
	json_open_object(w, policy_kind_name(value->kind));
	dump_policy_members(w, value->kind, value->object);
	json_close(w);
}

static void dump_values(struct json_writer *w, const struct policy_values *values)
{
	for (uint32_t i = 0; i < values->value_count; i++) {
		json_open_object(w, NULL);
		dump_policy_value(w, &values->value_list[i]);
		json_close(w);
	}
}

void dump_inline_policies(struct json_writer *w, const struct policy_values *values,
			  const struct policy_values *more)
{
	if (values->value_count == 0 && (!more || more->value_count == 0))
		return;
	json_open_array(w, "inlinePolicies");
	dump_values(w, values);
	if (more)
		dump_values(w, more);
	json_close(w);
}

static void dump_gateway_target(struct json_writer *w, const struct policy_target *target)
{
	json_open_object(w, "gateway");
	json_string(w, "gatewayName", target->name);
	json_string(w, "gatewayNamespace", target->namespace);
	json_string_or_null(w, "listenerName", target->section);
	if (target->port)
		json_u64(w, "port", target->port);
	json_close(w);
}

static void dump_route_target(struct json_writer *w, const struct policy_target *target)
{
	json_open_object(w, "route");
	json_string(w, "name", target->name);
	json_string(w, "namespace", target->namespace);
	if (target->section.len)
		json_string(w, "ruleName", target->section);
	if (is_kind_shown(target->route_kind))
		json_string(w, "kind", target->route_kind);
	json_close(w);
}

static void dump_backend_target(struct json_writer *w, const struct policy_target *target)
{
	json_open_object(w, "backend");
	if (target->kind == TARGET_SERVICE) {
		json_open_object(w, "service");
		json_string(w, "hostname", target->name);
		json_string(w, "namespace", target->namespace);
		if (target->port)
			json_u64(w, "port", target->port);
	} else {
		json_open_object(w, "backend");
		json_string(w, "name", target->name);
		json_string(w, "namespace", target->namespace);
		if (target->section.len)
			json_string(w, "section", target->section);
	}
	json_close(w);
	json_close(w);
}

static void dump_target(struct json_writer *w, const struct policy_target *target)
{
	json_open_object(w, "target");
	switch (target->kind) {
	case TARGET_GATEWAY:
		dump_gateway_target(w, target);
		break;
	case TARGET_ROUTE:
		dump_route_target(w, target);
		break;
	case TARGET_BACKEND:
	case TARGET_SERVICE:
		dump_backend_target(w, target);
		break;
	}
	json_close(w);
}

static void dump_policy_name(struct json_writer *w, const struct targeted_policy *policy)
{
	if (!policy->has_name) {
		json_null(w, "name");
		return;
	}
	json_open_object(w, "name");
	json_string(w, "kind", policy->name_kind);
	json_string(w, "name", policy->name);
	json_string(w, "namespace", policy->namespace);
	json_close(w);
}

/* What is written here and not in force; without "members" all of it. */
static void dump_lost(struct json_writer *w, const struct targeted_policy *policy)
{
	if (!policy->lost_to.len)
		return;
	json_open_object(w, "lost");
	json_string(w, "to", policy->lost_to);
	if (policy->lost_count)
		json_open_array(w, "members");
	for (uint32_t i = 0; i < policy->lost_count; i++)
		json_string(w, NULL, policy->lost_list[i]);
	if (policy->lost_count)
		json_close(w);
	json_close(w);
}

void dump_targeted_policy(struct json_writer *w, const struct targeted_policy *policy)
{
	enum policy_section section = policy_section_of(policy->value.kind);

	json_open_object(w, NULL);
	json_string(w, "key", policy->key);
	dump_policy_name(w, policy);
	dump_target(w, &policy->target);
	json_open_object(w, "policy");
	switch (section) {
	case SECTION_FRONTEND:
		json_open_object(w, "frontend");
		break;
	case SECTION_TRAFFIC:
		json_open_object(w, "traffic");
		json_str(w, "phase", policy->is_gateway_phase ? "gateway" : "route");
		break;
	case SECTION_BACKEND:
		json_open_object(w, "backend");
		break;
	}
	dump_policy_value(w, &policy->value);
	json_close(w);
	json_close(w);
	dump_lost(w, policy);
	json_close(w);
}
